"""A layer behind others than its partner is not called exact, and what is built around a network is not fed from it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance
from tests.models import ResNet, images, randomised
from tli_cli import Options, apply_tli
from tli_cli.plan import Plan

MAPS = Options(method="maps")


class Block(nn.Module):
    """A residual block of two convolutions, with a gate or a norm between them or not."""

    def __init__(self, between: str) -> None:
        super().__init__()
        self.between = between
        self.first, self.second = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 8, 3, padding=1)
        if between == "gate":
            self.gate = nn.Conv2d(12, 12, 1)
        if between == "norm":
            self.norm = nn.GroupNorm(2, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if self.between == "gate":
            y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        if self.between == "norm":
            y = self.norm(y)
        return x + self.second(torch.relu(y))


class Residual(nn.Module):
    def __init__(self, between: str = "") -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 8, 3), nn.Sequential(*(Block(between) for _ in range(2)))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class FrozenNorm(nn.BatchNorm2d):
    """A batch norm that is written out as a scale and a shift."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tall = (1, -1, 1, 1)
        scale = self.weight.reshape(tall) * (self.running_var.reshape(tall) + self.eps).rsqrt()
        return x * scale + (self.bias.reshape(tall) - self.running_mean.reshape(tall) * scale)


class Normed(nn.Module):
    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.head = (
            nn.Conv2d(3, 8, 3),
            (FrozenNorm if frozen else nn.BatchNorm2d)(8),
            nn.Linear(8, 4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Pyramid(nn.Module):
    """A residual network whose stages feed a pyramid of maps, and heads for boxes of 7 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = ResNet(groups=1, per_group=4)
        del self.body.fc
        self.inner = nn.ModuleList([nn.Sequential(nn.Conv2d(c, 8, 1), nn.BatchNorm2d(8)) for c in (8, 16)])
        self.layer = nn.ModuleList([nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)) for _ in range(2)])
        self.tower, self.logits = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 7, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.body.layer1(torch.relu(self.body.bn1(self.body.conv1(x))))
        coarse = self.inner[1](self.body.layer2(x))
        fine = self.inner[0](x) + functional.interpolate(coarse, scale_factor=2.0)
        maps = self.layer[0](fine), self.layer[1](coarse)
        return tuple(self.logits(torch.relu(self.tower(held))) for held in maps)


def planned(source: nn.Module, target: nn.Module) -> Plan:
    return apply_tli(randomised(target, 2), randomised(source, 1), example=(images(),), options=MAPS)


@pytest.mark.parametrize("between", ["gate", "norm"])
@pytest.mark.parametrize("added", [True, False])
def test_only_what_is_right_behind_another_layer_is_not_exact(between: str, added: bool) -> None:
    pair = (Residual(), Residual(between)) if added else (Residual(between), Residual())
    steps = planned(*pair).by_target
    for block in ("blocks.0", "blocks.1"):
        assert steps[f"{block}.first.weight"].exact and not steps[f"{block}.second.weight"].exact
        assert "before it" in steps[f"{block}.second.weight"].reason
        assert steps[f"{block}.second.weight"].resizer == "copy"
    assert steps["stem.weight"].exact and steps["head.weight"].exact


class Chain(nn.Module):
    """Convolutions one behind the other, `gated` behind the first one, around the last of which there is a shortcut."""

    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, 8, 3, padding=1) for a in (3, 8, 8, 8))
        self.gate = nn.Conv2d(8, 8, 1) if gated else None
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = first = self.convs[0](x)
        if self.gate is not None:
            x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        x = self.convs[2](self.norm(self.convs[1](x).relu())).relu()
        return self.head((self.convs[3](x + first)).mean((2, 3)))


def test_what_stands_behind_such_layers_alone_is_not_exact_either() -> None:
    plan = planned(Chain(gated=False), Chain(gated=True))
    inexact = {step.layer for step in plan.steps if step.pieces and not step.exact}
    assert inexact == {"convs.1", "norm", "convs.2"}
    assert plan.by_target["convs.2.weight"].resizer == "copy"


@pytest.mark.parametrize("frozen", [True, False])
def test_a_norm_that_is_written_out_is_run_once(frozen: bool) -> None:
    source, target = Normed(frozen), Normed(not frozen)
    plan = planned(source, target)
    assert all(step.exact for step in plan.steps)
    assert distance(source, target, (images(),)) < 1e-12


def test_a_pyramid_around_a_network_is_not_fed_from_it() -> None:
    plan = planned(ResNet(groups=1, per_group=4), Pyramid())
    assert "other" not in plan.relation
    for step in plan.steps:
        inside = step.target.startswith("body.")
        assert (
            (step.action == "transfer" and step.exact) if inside else (step.action, step.initial) == ("keep", "target")
        )


class Pooled(nn.Module):
    """A head behind a norm of each place, or behind a norm of the mean; `both` reads the first place beside it."""

    def __init__(self, first: bool = False, both: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.first, self.both = first, both
        self.stem = nn.Conv2d(3, 8, 4, 4, bias=bias)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(16 if both else 8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        if self.both:
            x = self.norm(x)
            return self.head(torch.cat([x[:, 0], x.mean(1)], 1))
        return self.head(self.norm(x.mean(1)) if self.first else self.norm(x).mean(1))


@pytest.mark.parametrize("first", [True, False])
def test_a_norm_of_the_mean_is_no_norm_of_each_place(first: bool) -> None:
    steps = planned(Pooled(first), Pooled(not first)).by_target
    assert not steps["norm.weight"].exact and "mean over places" in steps["norm.weight"].reason
    assert all(step.exact for step in planned(Pooled(first), Pooled(first)).steps)


def test_one_head_says_nothing_of_a_token_and_a_mean_side_by_side() -> None:
    steps = planned(Pooled(), Pooled(both=True)).by_target
    assert steps["stem.weight"].exact and not steps["head.weight"].exact


def test_a_bias_without_a_place_is_told() -> None:
    steps = planned(Pooled(), Pooled(bias=False)).by_target
    assert not steps["stem.weight"].exact and "bias" in steps["stem.weight"].reason
    assert all(step.exact for step in planned(Pooled(bias=False), Pooled()).steps)
