"""Blocks side by side, or blocks in a row that look farther and farther, of which one network has more, and parts of a
concatenation that no layer makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.models import randomised
from tli_cli import Options, Plan, apply_tli, match

MAPS = Options(method="maps")


class Tasks(nn.Module):
    """Experts that all tasks share, and for each task a gate that weighs them and a tower (MMoE)."""

    def __init__(self, tasks: int = 2, experts: int = 3, width: int = 8) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, width), nn.ReLU()) for _ in range(experts))
        self.gates = nn.ModuleList(nn.Linear(6, experts, bias=False) for _ in range(tasks))
        towers = (nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)) for _ in range(tasks))
        self.towers = nn.ModuleList(towers)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        made = torch.stack([expert(x) for expert in self.experts], 1)
        weighed = ((gate(x).softmax(-1)[..., None] * made).sum(1) for gate in self.gates)
        return [tower(found) for tower, found in zip(self.towers, weighed, strict=True)]


class Waves(nn.Module):
    """Reads places and their waves of several frequencies, once more behind the first layer."""

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.frequencies, size = frequencies, 2 + 4 * frequencies
        self.first, self.second, self.out = nn.Linear(size, 8), nn.Linear(size + 8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        waves = [wave(x * 2**k) for k in range(self.frequencies) for wave in (torch.sin, torch.cos)]
        x = torch.cat([x, *waves], -1)
        return self.out(self.second(torch.cat([x, self.first(x).relu()], -1)).relu())


def taught(source: nn.Module, target: nn.Module, example: torch.Tensor) -> tuple[Plan, list[torch.Tensor]]:
    """Return the plan, and what both networks give, by turns."""
    randomised(source, 1), randomised(target, 2)
    plan = apply_tli(target, source, example=(example,), options=MAPS)
    with torch.no_grad():
        return plan, [target(example), source(example)]


def test_a_task_more_leaves_the_others_as_they_are() -> None:
    for width in (8, 16):
        plan, (found, wanted) = taught(Tasks(), Tasks(3, width=width), torch.randn(4, 6, dtype=torch.float64))
        for own, other in zip(found, wanted, strict=False):
            assert torch.allclose(own, other, atol=1e-12)
        assert not plan.unused


def test_more_experts_are_weighed_against_those_that_there_are() -> None:
    source, target = Tasks(), Tasks(experts=5)
    plan, _ = taught(source, target, torch.randn(4, 6, dtype=torch.float64))
    for task in ("gates.0.weight", "gates.1.weight"):
        assert not plan.by_target[task].exact
        assert torch.equal(target.state_dict()[task][:3], source.state_dict()[task])


def test_waves_of_higher_frequencies_are_read_with_zero_weight() -> None:
    plan, (found, wanted) = taught(Waves(3), Waves(5), torch.randn(4, 2, dtype=torch.float64))
    assert torch.allclose(found, wanted, atol=1e-12)
    for layer in ("first", "second"):  # of no layer is the bias called exact where its weight is not
        assert plan.by_target[f"{layer}.bias"].exact <= plan.by_target[f"{layer}.weight"].exact


class Dilated(nn.Module):
    """A row of residual blocks, each of which looks twice as far back as the one before it (TCN)."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.inlet, self.out = nn.Conv1d(3, 8, 1), nn.Linear(8, 4)
        self.far = nn.ModuleList(nn.Conv1d(8, 8, 3, dilation=2**k, padding=2 * 2**k) for k in range(depth))
        self.near = nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inlet(x)
        for far, near in zip(self.far, self.near, strict=True):
            x = x + near(far(x)[..., : x.shape[-1]].relu())
        return self.out(x.mean(-1))


def test_an_added_block_is_the_one_that_looks_as_far_as_none_of_the_source() -> None:
    plan, (found, wanted) = taught(Dilated(3), Dilated(4), torch.randn(2, 3, 20, dtype=torch.float64))
    assert torch.allclose(found, wanted, atol=1e-12)
    assert all(step.exact for step in plan.steps)


class Features(nn.Module):
    """Numbers of a table as tokens, of which each is scaled and shifted, before attention (FT-Transformer)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.randn(features, 8)) for _ in range(2))
        self.kinds, self.token = nn.ModuleList(nn.Embedding(n, 8) for n in (3, 4)), nn.Parameter(torch.randn(1, 1, 8))
        layers = (nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True) for _ in range(2))
        self.blocks = nn.ModuleList(layers)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kinds = [kind(x[:, :1].long() % 3) for kind in self.kinds]
        x = torch.cat((self.token.expand(len(x), -1, -1), x[..., None] * self.weight + self.bias, *kinds), 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class Masked(nn.Module):
    """Reads its numbers by how a softmax of them weighs each (TabNet)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(features, 8), nn.Linear(8, features), nn.Linear(features, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x * self.second(self.first(x).relu()).softmax(-1))


@pytest.mark.parametrize("make", [Features, Masked])
def test_numbers_more_change_what_others_are_weighed_against(make: Callable[[int], nn.Module]) -> None:
    source, target = randomised(make(5), 1), randomised(make(7), 2)
    examples = [(torch.randn(4, count, dtype=torch.float64),) for count in (7, 5)]
    plan = apply_tli(target, source, example=examples[0], teacher_example=examples[1], options=MAPS)
    table = plan.by_target["weight" if make is Features else "second.weight"]
    assert table.pieces and not table.exact


def test_the_order_of_a_file_that_was_inferred_tells_no_tensors_of_the_root_apart(tmp_path: Path) -> None:
    state, words = Features(5).state_dict(), "zo ve ga tu mi li ko"
    called = dict(zip(dict.fromkeys(name.partition(".")[0] for name in state), words.split(), strict=True))
    names = {name: ".".join((called[name.partition(".")[0]], *name.split(".")[1:])) for name in state}
    for path, held in (("source.pt", {names[k]: v for k, v in state.items()}), ("target.pt", state)):
        torch.save(held, tmp_path / path)
    plan = match(str(tmp_path / "source.pt"), str(tmp_path / "target.pt"), options=MAPS)
    for name in ("weight", "bias"):
        step = plan.by_target[name]
        assert not step.exact or [piece.source for piece in step.pieces] == [names[name]]
