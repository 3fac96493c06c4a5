"""Layers of one shape side by side in a network that is defined: names, numbers or what reads them must tell these
apart, for the order of definition does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import doubted
from tli_cli import Options, apply_tli, inject, match


class Parallel(nn.Module):
    """Two convolutions of one size beside each other, of which one is followed by another; `names` are what they are
    called, in the order in which they are defined."""

    def __init__(self, names: tuple[str, ...], roles: tuple[str, ...]) -> None:
        super().__init__()
        self.stem, self.roles = nn.Conv2d(3, 8, 3), roles
        self.block = nn.Module()
        for name in names:
            behind = name == roles[2]
            self.block.add_module(name, nn.Conv2d(12 if behind else 8, 12, 1))
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside, before, behind = (getattr(self.block, name) for name in self.roles)
        x = self.stem(x).relu()
        return self.head((beside(x) + behind(before(x).relu())).relu().mean((2, 3)))


@pytest.mark.parametrize(
    ("beside", "told"), [("first", False), ("shortcut", True), ("identity_conv", True), ("downsample", False)]
)
def test_order_of_definition_tells_nothing_of_layers_side_by_side(beside: str, told: bool) -> None:
    source = Parallel(("conv1", "conv2", beside), (beside, "conv1", "conv2"))
    target = Parallel(("shortcut", "a", "b"), ("shortcut", "a", "b"))
    held = {name.replace("downsample", "downsample.0"): tensor for name, tensor in source.state_dict().items()}
    steps = apply_tli(target, held, example=(2, 3, 8, 8)).by_target
    found = {name: steps[f"block.{name}.weight"].exact for name in ("shortcut", "a", "b")}
    assert found == {"shortcut": told, "a": told, "b": True}
    same = (target.block.shortcut.weight == getattr(source.block, beside).weight).all()
    assert same or not told


class Pair(nn.Module):
    """A block in which one of two layers of one shape is the gate of the other, under any names, in any order."""

    def __init__(self, names: tuple[str, str], reverse: bool) -> None:
        super().__init__()
        self.names = names
        for name in names[::-1] if reverse else names:
            self.add_module(name, nn.Linear(8, 12))
        self.back = nn.Linear(12, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = (getattr(self, name)(x) for name in self.names)
        return x + self.back(nn.functional.silu(gate) * up)


def paired(first: str = "foo", second: str = "bar", reverse: bool = False) -> nn.Module:
    blocks = (Pair((first, second), reverse) for _ in range(2))
    return nn.Sequential(nn.Linear(5, 8), *blocks, nn.Linear(8, 3)).double()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("names", "told"), [(("alpha", "beta"), False), (("gate", "up"), True)])
def test_the_order_of_definition_alone_tells_no_two_layers_apart(names, told, reverse, tmp_path):
    source, target = paired(*names, reverse), paired()
    torch.save(source.state_dict(), tmp_path / "source.pt")
    plan = match(tmp_path / "source.pt", f"{__name__}:paired", options=Options(input_shape=(5,), head="keep"))
    twins = {f"{i}.{name}.{role}" for name in ("foo", "bar") for i in (1, 2) for role in ("weight", "bias")}
    assert doubted(plan).keys() == (set() if told else twins)
    inject(tmp_path / "source.pt", f"{__name__}:paired", tmp_path / "out.pt", plan=plan)
    target.load_state_dict(torch.load(tmp_path / "out.pt"))
    x = torch.randn(4, 5, dtype=torch.float64)
    assert torch.equal(source(x), target(x)) == (told or not reverse)


class Levels(nn.Module):
    """Maps of several sizes, each behind a layer of its own; `names` are what these are called."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.stem, self.out, self.names = nn.Conv2d(3, 8, 3, padding=1), nn.Module(), names
        for name in names:
            self.out.add_module(name, nn.Conv2d(8, 8, 1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x)
        return [self.out.get_submodule(name)(x[..., : 2 + i, : 2 + i]) for i, name in enumerate(self.names)]


@pytest.mark.parametrize(("names", "told"), [(("p2", "p3", "p4"), True), (("low", "mid", "high"), False)])
def test_layers_side_by_side_are_told_by_their_numbers_where_both_sides_count(names, told: bool) -> None:
    target = Levels("level0", "level1", "level2")
    steps = apply_tli(target, Levels(*names).state_dict(), example=(2, 3, 8, 8)).steps
    assert all(step.exact for step in steps if step.target.startswith("out")) == told


class Bottleneck(nn.Module):
    """A block whose shortcut has the shape of the layer beside it and is defined first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Conv2d(3, 8, 3), nn.Module(), nn.Linear(12, 5)
        for name, width in (("shortcut", 12), ("conv1_1x1", 8), ("conv2_1x1", 12)):
            self.block.add_module(name, nn.ModuleDict({"conv": nn.Conv2d(8, width, 1), "bn": nn.BatchNorm2d(width)}))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        parts = (self.block.conv1_1x1, self.block.conv2_1x1, self.block.shortcut)
        first, second, shortcut = (lambda x, part=part: part["bn"](part["conv"](x)) for part in parts)
        return self.head((second(first(x).relu()) + shortcut(x)).relu().mean((2, 3)))


@pytest.mark.parametrize(("name", "told"), [("downsample", True), ("side", False)])
def test_shortcuts_are_told_whatever_they_are_called(name: str, told: bool) -> None:
    target, held = Bottleneck(), Bottleneck().state_dict()
    places = {"shortcut.conv": f"{name}.0", "shortcut.bn": f"{name}.1"}
    places |= {f"conv{i}_1x1.{part}": f"{said}{i}" for i in (1, 2) for part, said in (("conv", "conv"), ("bn", "bn"))}
    order = [key for key in held if "shortcut" not in key] + [key for key in held if "shortcut" in key]
    named = {}
    for key in order:
        module = key.rpartition(".")[0]
        inner = module.removeprefix("block.")
        named[key.replace(inner, places.get(inner, inner))] = held[key]
    steps = apply_tli(target, named, example=(2, 3, 8, 8)).steps
    assert all(step.exact for step in steps) == told
    same = torch.equal(target.block.shortcut["conv"].weight, held["block.shortcut.conv.weight"])
    assert same or not told
