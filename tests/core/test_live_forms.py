"""Live modules as training scripts have them: wrapped, parametrised, pruned, without values or shapes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm
from torch.optim.swa_utils import AveragedModel

from tli_cli import Options, apply_tli, inject, inspect, match, rank
from tli_cli.errors import TliError


class Net(nn.Module):
    """A residual network with a batch norm and a buffer that is not stored."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.block, self.head = nn.Conv2d(width, width, 3, padding=1), nn.Linear(width, 4)
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        return self.head((x + self.block(x).relu()).mean((2, 3))) * self.scale


IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def parallel(model: nn.Module) -> nn.Module:
    return nn.DataParallel(model.cuda() if torch.cuda.is_available() else model)


WRAPPERS = {
    "compiled": lambda m: torch.compile(m, backend="eager"),
    "parallel": parallel,
    "averaged": AveragedModel,
    "both": lambda m: torch.compile(parallel(m), backend="eager"),
}
PARTS = {
    "weight_norm": ("stem", parametrizations.weight_norm),
    "orthogonal": ("head", parametrizations.orthogonal),
    "spectral_norm": ("block", parametrizations.spectral_norm),
    "old_spectral_norm": ("block", spectral_norm),
    "pruned": ("block", lambda m: prune.l1_unstructured(m, "weight", 0.3)),
}


def made(width: int, part: str = "") -> Net:
    torch.manual_seed(width)
    net = Net(width)
    if part:
        name, change = PARTS[part]
        change(getattr(net, name))
    return net.eval()


def difference(one: nn.Module, other: nn.Module) -> float:
    with torch.no_grad():
        outputs = [net.eval()(IMAGES.to(next(net.parameters()).device)).cpu() for net in (one, other)]
    return float((outputs[0] - outputs[1]).abs().max() / outputs[0].abs().max().clamp(min=1))


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrappers_change_nothing(kind, side):
    source, target = made(6), made(12)
    wrapped = [WRAPPERS[kind](m) if name == side else m for name, m in (("source", source), ("target", target))]
    plan = apply_tli(wrapped[1], wrapped[0])
    assert plan.score == apply_tli(made(12), source).score and not plan.unused
    assert difference(*wrapped) < 1e-6


@pytest.mark.parametrize("part", PARTS)
def test_a_source_gives_what_its_layers_use(part):
    source, target = made(6, part).train(), made(12)
    before = deepcopy({name: value.clone() for name, value in source.state_dict().items()})
    assert all(step.exact for step in apply_tli(target, source).steps)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert difference(source, target) < 1e-6


@pytest.mark.parametrize("part", PARTS)
def test_a_target_holds_what_is_made_for_it_or_the_plan_says_so(part):
    source, target = made(6), made(12, part)
    names, ids = list(target.state_dict()), list(map(id, target.parameters()))
    plan = apply_tli(target, source)
    assert (list(target.state_dict()), list(map(id, target.parameters()))) == (names, ids)
    kept = all(step.exact for step in plan.steps)
    assert kept == (difference(source, target) < 1e-6) == (part == "weight_norm")
    assert bool(plan.notes) != kept


@pytest.mark.parametrize("part", PARTS)
def test_what_is_worked_out_alike_on_both_sides_is_copied_with_what_makes_it(part):
    source, target = made(6, part), made(6, part)
    with torch.no_grad():
        for value in source.parameters():
            value.normal_()
    assert all(step.exact for step in apply_tli(target, source).steps)
    assert difference(source, target) == 0
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


@pytest.mark.parametrize("side", ["source", "target"])
def test_modules_of_torchscript_are_told_and_their_values_taken(side):
    scripted, net = torch.jit.script(made(6)), made(12)
    with pytest.raises(TliError, match=r"TorchScript.*state_dict"):
        apply_tli(*((net, scripted) if side == "source" else (scripted, net)))
    assert all(step.exact for step in apply_tli(net, scripted.state_dict()).steps)


def test_a_module_of_torchscript_within_another_is_run():
    target = made(12)
    target.block = torch.jit.script(target.block)
    source = made(6)
    assert all(step.exact for step in apply_tli(target, source).steps)
    assert difference(source, target) < 1e-6


def normed() -> Net:
    return made(6, "spectral_norm")


def test_the_vectors_of_a_spectral_norm_go_with_its_weight(tmp_path):
    torch.save(normed().state_dict(), tmp_path / "normed.pt")
    options = Options(input_shape=(3, 8, 8), source_arch=f"{__name__}:normed")
    plan = match(tmp_path / "normed.pt", f"{__name__}:normed", options=options)
    assert all(step.exact for step in plan.steps)
    assert {plan.by_target[f"block.parametrizations.weight.0.{n}"].layer for n in ("_u", "_v")} == {
        plan.by_target["block.parametrizations.weight.original"].layer
    }


def plain() -> Net:
    return made(6)


def pruned() -> Net:
    return made(6, "pruned")


def test_a_mask_is_fed_by_no_weight_and_leaves_nothing_exact_that_it_is_worked_into(tmp_path):
    torch.save(plain().state_dict(), tmp_path / "plain.pt")
    options = Options(input_shape=(3, 8, 8), source_arch=f"{__name__}:plain")
    steps = match(tmp_path / "plain.pt", f"{__name__}:pruned", options=options).by_target
    assert steps["block.weight_mask"].action == "keep" and steps["block.weight_orig"].action == "transfer"
    inexact = {name for name, step in steps.items() if not step.exact}
    assert inexact == {"block.bias", "block.weight_mask", "block.weight_orig"}


@pytest.mark.parametrize("side", ["source", "target"])
def test_what_has_no_values_or_no_shapes_is_told(side):
    with torch.device("meta"):
        hollow = Net(6)
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten())
    for net, said in ((hollow, "meta device"), (lazy, "run the model once")):
        with pytest.raises(TliError, match=said):
            apply_tli(*((net, made(6)) if side == "target" else (made(6), net)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: apply_tli(Net, made(6)), "found the class Net"),
        (lambda: apply_tli("resnet18", made(6)), "found str"),
        (lambda: apply_tli(made(6), None), "found NoneType"),
        (lambda: apply_tli(made(6), made(6), options={"method": "maps"}), "found dict"),
        (lambda: inject(made(6), "resnet18"), "apply_tli takes live modules"),
        (lambda: rank("resnet18", Net), "found the class Net"),
        (lambda: apply_tli(made(6), made(6), options=Options(method="fitt")), "did you mean 'fit'"),
    ],
)
def test_other_things_than_are_asked_for_are_told(call, said):
    with pytest.raises(TliError, match=said):
        call()


class Doubled(nn.Module):
    """Computes in the precision that its code names."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.stem, self.head = nn.Conv2d(3, width, 3, dtype=dtype), nn.Linear(width, 4, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x.to(self.dtype)).relu().mean((2, 3)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("example", [None, IMAGES])
def test_code_that_names_its_precision_is_followed(dtype, example):
    plan = apply_tli(Doubled(9, dtype), Doubled(6, dtype), example=example)
    assert plan.relation == "wider" and plan.coverage == 1 and not plan.notes
    assert inspect(Doubled(6, dtype)).graph


class DTensor(nn.Parameter):
    """A parameter of which each process holds a part, as far as can be seen of it."""

    def full_tensor(self) -> torch.Tensor:
        return self.data


def test_a_model_in_parts_on_several_processes_is_told():
    net = made(6)
    net.head.weight = DTensor(net.head.weight.detach())
    for call in (lambda: apply_tli(net, made(6)), lambda: apply_tli(made(6), net), lambda: inspect(net)):
        with pytest.raises(TliError, match="each process holds parts"):
            call()
    with pytest.raises(TliError, match=r"head\.weight: expected a whole tensor"):
        apply_tli(made(6), net.state_dict(keep_vars=True))
