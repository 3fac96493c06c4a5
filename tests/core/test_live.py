"""Injection between live modules: in place, without touching the source, and for models of odd shape."""

from __future__ import annotations

import contextlib
import re
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.core.support import build, distance, same_bytes
from tests.models import example_for, images, randomised
from tli_cli import Options, apply_tli
from tli_cli.describe.tracing.trace import trace
from tli_cli.errors import GateError, TliError, TraceError
from tli_cli.providers.module import describe_live


class TwoInputs(nn.Module):
    """An image and a vector, joined before the head."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, width, 3), nn.Linear(4, width)
        self.head = nn.Linear(2 * width, 5)

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([torch.relu(self.conv(image)).mean((2, 3)), torch.tanh(self.linear(vector))], 1))


class Shared(nn.Module):
    """One block that is run three times, and a layer that is never run."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 5)
        self.unused = nn.Linear(width, 7)
        self.register_buffer("steps", torch.tensor(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = x + torch.relu(self.block(x))
        return self.head(x.mean((2, 3)))


class Branching(nn.Module):
    """What is run depends on the values of the input."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, width, 3), nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x).mean((2, 3))
        return self.head(y) if float(y.sum()) > 0 else self.head(-y)


class Offsets(nn.Module):
    """A buffer that starts at zero and is found in training, and one that the constructor works out."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)
        self.register_buffer("found", torch.zeros(4))
        self.register_buffer("worked_out", scale * torch.arange(4.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean((2, 3))) + self.found + self.worked_out


VECTORS = (images(), torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(("make", "example"), [(TwoInputs, VECTORS), (Shared, (images(),))])
def test_models_of_odd_shape_grow_and_keep_their_function(make, example):
    source, target = randomised(make(6), 1), randomised(make(9), 2)
    plan = apply_tli(target, source, example=example)
    assert distance(source, target, example) < 1e-9
    assert [step.target for step in plan.steps] == list(target.state_dict())


def test_a_buffer_that_starts_at_zero_is_taken_and_one_that_is_worked_out_is_not(tmp_path):
    source, target = Offsets(2.0), Offsets(1.0)
    source.found.normal_()
    plan = apply_tli(target, source, example=images())
    assert torch.equal(target.found, source.found) and not torch.equal(target.worked_out, source.worked_out)
    assert plan.by_target["worked_out"].reason == "computed by the constructor"


def test_what_is_never_run_is_matched_by_its_name_and_shape():
    source, target = randomised(Shared(), 1), randomised(Shared(), 2)
    apply_tli(target, source, example=(images(),))
    assert same_bytes(source.state_dict(), target.state_dict())


def test_the_source_and_the_example_are_left_as_they_are():
    source, target = build("resnet", 1).train(), build("resnet", 2, width=12)
    example = example_for("resnet")
    state, batch = deepcopy(source.state_dict()), example[0].clone()
    identities = [id(p) for p in target.parameters()]
    apply_tli(target, source, example=example)
    assert same_bytes(source.state_dict(), state) and example[0].equal(batch)
    assert source.training and not target.training
    assert [id(p) for p in target.parameters()] == identities
    assert all(p.grad is None and p.requires_grad for p in [*source.parameters(), *target.parameters()])


def test_a_target_tensor_never_shares_memory_with_the_source():
    source, target = build("resnet", 1), build("resnet", 2)
    apply_tli(target, source, example=example_for("resnet"))
    state = deepcopy(source.state_dict())
    with torch.no_grad():
        for tensor in target.state_dict().values():
            tensor.zero_()
    assert same_bytes(source.state_dict(), state)


def test_tied_weights_stay_tied():
    source, target = build("decoder", 1), build("decoder", 2, width=32)
    apply_tli(target, source, example=example_for("decoder"))
    assert target.lm_head.weight is target.embed_tokens.weight


def test_the_dtype_of_the_target_is_kept():
    source, target = build("resnet", 1), build("resnet", 2, width=12).half()
    apply_tli(target, source, example=(2, 3, 16, 16))
    assert {p.dtype for p in target.parameters()} == {torch.float16}


def test_a_model_that_cannot_be_traced_is_told_from_its_names_unless_an_example_is_given():
    source, target = randomised(Branching(6), 1), randomised(Branching(6), 2)
    assert describe_live(source).order_from == "definition" and not describe_live(source).graph
    apply_tli(target, source)
    assert same_bytes(source.state_dict(), target.state_dict())
    with pytest.raises(TraceError, match="Branching"):
        apply_tli(target, source, example=(2, 3, 16, 16))


def test_a_failed_trace_leaves_the_model_as_it_was():
    model = Branching().train().to("meta")
    with pytest.raises(TraceError, match=r"Branching.*meta"):
        trace(model, (torch.empty(2, 3, 8, 8, device="meta"),))
    assert model.training


def test_public_names_stay_what_they_are_after_use():
    import tli_cli

    source, target = build("resnet", 1), build("resnet", 2)
    tli_cli.apply_tli(target, source, example=example_for("resnet"))
    assert all(callable(getattr(tli_cli, name)) for name in tli_cli.__all__)
    assert {*tli_cli.__all__, "__version__"} <= set(dir(tli_cli)) and tli_cli.__version__[0].isdigit()


def test_a_teacher_may_be_a_state_dict_or_a_checkpoint_file(tmp_path):
    source, example = build("resnet", 1), example_for("resnet")
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, tmp_path / "source.pt")
    save_file(source.state_dict(), tmp_path / "source.safetensors")
    of_a_module = build("resnet", 2, width=12)
    apply_tli(of_a_module, source, example=example)
    given = [source.state_dict(), {"model": source.state_dict()}, tmp_path / "source.pt"]
    for teacher in [*given, str(tmp_path / "source.safetensors")]:
        target = build("resnet", 2, width=12)
        apply_tli(target, teacher, example=example)
        assert same_bytes(target.state_dict(), of_a_module.state_dict())


class Sized(nn.Module):
    """Convolutions, and a linear layer on their mean or more convolutions."""

    def __init__(self, *, mapped: bool) -> None:
        super().__init__()
        sizes = (3, 8, 8, 16, 16, 24, 24)
        convs = [nn.Conv2d(taken, made, 3, padding=1) for taken, made in pairwise(sizes)]
        self.features = nn.Sequential(*(part for conv in convs for part in (conv, nn.ReLU())))
        self.extra = nn.Sequential(nn.Conv2d(24, 16, 1), nn.ReLU()) if mapped else nn.Identity()
        self.head = nn.Conv2d(16, 7, 1) if mapped else nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.extra(self.features(x))
        return self.head(x.mean((2, 3)) if isinstance(self.head, nn.Linear) else x)


@pytest.mark.parametrize("method", ["maps", "crop"])
def test_a_bias_is_made_of_the_layer_that_the_weight_beside_it_is_made_of(method: str) -> None:
    given, wanted = randomised(Sized(mapped=False), 1), randomised(Sized(mapped=True), 2)
    plan = apply_tli(wanted, given.state_dict(), example=torch.randn(1, 3, 8, 8), options=Options(method=method))
    made = {step.target: [name.rpartition(".")[0] for p in step.pieces for name in p.names] for step in plan.steps}
    assert all(made[f"{layer}.weight"] == made[f"{layer}.bias"] for layer in ("features.0", "extra.0", "head"))


def test_a_teacher_that_is_none_is_one_message():
    target = build("resnet", 2)
    with pytest.raises(TliError, match=r"or a list of such, found int"):
        apply_tli(target, [3], example=example_for("resnet"))
    with pytest.raises(TliError, match=r"resnet18: an architecture without values"):
        apply_tli(target, "resnet18", example=example_for("resnet"))
    with pytest.raises(TliError, match=r"the state dict: conv1.weight holds NaN"):
        apply_tli(target, {**target.state_dict(), "conv1.weight": torch.full((8, 3, 3, 3), torch.nan)})
    with pytest.raises(TliError, match=r"'fit': expected one module as a teacher"):
        apply_tli(target, target.state_dict(), options=Options(method="fit"))


def test_a_plan_says_what_it_does_in_one_line():
    plan = apply_tli(build("resnet", 2, width=12), build("resnet", 1), example=example_for("resnet"))
    counts = rf"{plan.exact} tensors placed exactly, {plan.adapted} adapted, {plan.initialised} initialised"
    assert re.fullmatch(rf"Plan\(wider: {counts}, 0 unused; coverage 100.0 %, score 0\.\d+\)", repr(plan))


@pytest.mark.parametrize("given", [{"dry_run": True}, {"strict": True}, {"min_score": 1.0}, {"min_coverage": 1.0}])
def test_a_dry_run_and_a_gate_that_is_not_met_leave_the_model_as_it_was(given):
    target = build("resnet", 2, width=12, classes=7)
    before = deepcopy(target.state_dict())
    refused = contextlib.nullcontext() if "dry_run" in given else pytest.raises(GateError)
    with refused:
        apply_tli(target, build("resnet", 1), example=example_for("resnet"), options=Options(**given))
    assert same_bytes(target.state_dict(), before)


def test_positions_that_are_looked_up_by_their_numbers_keep_their_rows() -> None:
    class Net(nn.Module):
        def __init__(self, places: int) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(20, 8), nn.Parameter(torch.randn(places, 8))
            self.out = nn.Linear(8, 5)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            numbers = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
            return self.out(self.tokens(tokens) + self.places[numbers])

    source, target, tokens = Net(12), Net(15), torch.randint(0, 20, (2, 6))
    apply_tli(target, source, example=tokens)
    assert torch.equal(source(tokens), target(tokens))


class AsksForValues(nn.Module):
    """Looks at values of its input before it runs its blocks, and takes a mask."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.tokens, self.up, self.down = nn.Embedding(20, 8), nn.Linear(8, hidden), nn.Linear(hidden, 8)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        longest = int(mask.sum(1).max().item())
        x = self.tokens(tokens[:, :longest])
        x = torch.where(mask[:, :longest].unsqueeze(-1), x, torch.zeros_like(x))
        return x + self.down(self.up(x).relu())


def test_a_model_that_asks_for_values_is_run_on_those_of_the_example() -> None:
    source, target = AsksForValues(16), AsksForValues(32)
    batch = {"tokens": torch.randint(0, 20, (2, 6)), "mask": torch.arange(6) < torch.tensor([[4], [5]])}
    plan = apply_tli(target, source, example=batch)
    assert all(step.exact for step in plan.steps)
    assert torch.allclose(source(**batch), target(**batch), atol=1e-6)


def test_a_model_that_asks_for_values_cannot_be_run_on_shapes() -> None:
    with pytest.raises(TraceError, match="meta device"):
        describe_live(AsksForValues(16), {"tokens": (2, 6), "mask": (2, 6)})


class Conditioned(nn.Module):
    """A network that takes a number beside its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.table = plain(width), nn.Embedding(5, 4)

    def forward(self, x: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + self.table(number)


def plain(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


def test_a_teacher_takes_its_own_input_where_it_does_not_run_on_the_models() -> None:
    example = (torch.zeros(1, 3, 8, 8), torch.zeros(1, dtype=torch.long))
    plan = apply_tli(Conditioned(8), plain(4), example=example, options=Options(method="maps"))
    assert {step.target for step in plan.steps if step.action == "keep"} == {"table.weight"} and not plan.notes


def test_a_model_that_runs_on_no_usual_input_is_said_to_be_told_by_names() -> None:
    plan = apply_tli(Conditioned(4), plain(4))
    assert any("Conditioned: it runs on no usual input" in note for note in plan.notes) and "note" in repr(plan)
    plan = apply_tli(plain(4), Conditioned(4), options=Options(method="maps"))
    assert any("teacher_example gives it one" in note for note in plan.notes)


def test_without_gradients_and_views_the_plan_is_the_same() -> None:
    plans = [apply_tli(plain(8), plain(4))]
    with torch.inference_mode():
        plans.append(apply_tli(plain(8), plain(4)))
    assert plans[0] == plans[1]
