"""Added blocks start as the identity, whatever ends their branches, goes around them or is done behind them all."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.deeper import IMAGES, Staged, deeper
from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli


class Serial(nn.Module):
    """A branch, and behind it a convolution that no shortcut goes around."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch, self.conv = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x + self.branch(torch.tanh(x)))


class Normed(nn.Module):
    """A sum of two convolutions and of what they take, each with a norm of its own."""

    def __init__(self, inputs: int, outputs: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.act = act()
        self.skip = nn.BatchNorm2d(inputs, 1e-3) if inputs == outputs else None
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, k, padding=k // 2), nn.BatchNorm2d(outputs)) for k in (1, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = [branch(x) for branch in ((self.skip, *self.convs) if self.skip else self.convs)]
        return self.act(sum(branches[1:], branches[0]))


class SummedNorms(nn.Module):
    def __init__(self, depth: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.stage = nn.Sequential(Normed(3, 8, act), *(Normed(8, 8, act) for _ in range(depth)))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(x).mean((2, 3)))


@pytest.mark.parametrize(("act", "kept"), [(nn.ReLU, True), (nn.Tanh, False)])
def test_a_norm_around_the_branches_of_an_added_block_passes_on_what_it_takes(act: type[nn.Module], kept: bool) -> None:
    source, target = (randomised(SummedNorms(n, act), n).double().eval() for n in (2, 4))
    plan = apply_tli(target, source, example=IMAGES)
    zeros = [step.layer for step in plan.steps if step.initial == "zeros" and step.role == "weight"]
    assert len(zeros) == 4 and not any("skip" in layer for layer in zeros)
    assert (distance(source, target, (IMAGES,)) < 1e-12) is kept
    assert kept or not promises(plan)


class Sloped(nn.Module):
    """Convolutions with learned slopes, in a row or as residual blocks."""

    def __init__(self, depth: int, around: bool) -> None:
        super().__init__()
        self.stem, self.head, self.around = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5), around
        self.rows = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.PReLU(8)) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for row in self.rows:
            x = x + row(x) if self.around else row(x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("around", [False, True])
def test_what_learned_slopes_stand_behind_is_added_as_the_identity(around: bool) -> None:
    source, target = (randomised(Sloped(depth, around), seed=depth) for depth in (2, 3))
    apply_tli(target, source, example=IMAGES, options=Options(method="maps", head="keep"))
    assert distance(source, target, (IMAGES,)) < 1e-9


def test_a_convolution_that_no_shortcut_goes_around_is_not_called_exact():
    difference, plan = deeper(partial(Staged, Serial))
    assert difference > 1e-6 and not promises(plan)


class Scaled(nn.Module):
    """A residual block that ends in a scale of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner, self.outer = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.outer(torch.relu(self.inner(self.norm(x))))


class ReadLast(nn.Module):
    """Blocks behind all of which the last place alone is read."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)
        self.blocks = nn.Sequential(*(Scaled() for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.first(x).flatten(2).transpose(1, 2))[:, -1])


def test_what_is_done_behind_all_blocks_may_stand_behind_an_added_one():
    difference, plan = deeper(ReadLast)
    assert difference < 1e-9
    assert promises(plan)


@pytest.mark.parametrize(("eps", "kept"), [(1e-12, True), (1e-5, False)])
def test_what_is_normalised_twice_is_exact_only_where_the_epsilon_is_nothing(eps: float, kept: bool) -> None:
    def encoder(depth: int) -> nn.Module:
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, layer_norm_eps=eps)
        return nn.Sequential(nn.Linear(8, 16), *(deepcopy(layer) for _ in range(depth)), nn.Linear(16, 4)).eval()

    plan = apply_tli(encoder(3), encoder(2), example=torch.randn(2, 5, 8), options=Options(head="keep"))
    assert all(step.exact for step in plan.steps) == kept
    assert kept or any("epsilon" in note for note in plan.notes)


class OverNeighbours(nn.Module):
    """Layers over the nodes of a graph, each of which reads a node and the sum of its neighbours."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(depth)])

    def forward(self, x: torch.Tensor, joined: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x + joined @ x)
        return self.last(x)


def test_a_sum_of_what_one_layer_gives_is_no_way_around_it() -> None:
    given, wanted = randomised(OverNeighbours(2), 1), randomised(OverNeighbours(4), 2)
    example = torch.randn(4, 5, 6, dtype=torch.float64), torch.eye(5, dtype=torch.float64).roll(1, 0).expand(4, 5, 5)
    plan = apply_tli(wanted, given, example=example)
    assert not all(step.exact for step in plan.steps)
    assert all(bool(parameter.any()) for parameter in wanted.parameters() if parameter.ndim > 1)


class Shut(nn.Module):
    """A branch whose last word is an activation that passes nothing back where it is given nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + functional.relu6(self.outer(torch.tanh(self.inner(x)))))


def test_an_added_branch_that_ends_in_a_rectifier_learns():
    given, wanted = randomised(Staged(Shut, 2), 1), randomised(Staged(Shut, 4), 2)
    plan = apply_tli(wanted, given, example=IMAGES)
    assert promises(plan)
    assert distance(given, wanted, (IMAGES,)) < 1e-9
    wanted(IMAGES).square().sum().backward()
    assert all(bool(block.outer.weight.grad.any()) for block in wanted.blocks)


class Conditioned(nn.Module):
    """A block of two branches, of which the second takes what a condition scales and shifts behind a bare norm."""

    def __init__(self) -> None:
        super().__init__()
        self.condition, self.mix = nn.Linear(4, 16), nn.Linear(8, 8)
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor, condition: torch.Tensor, inside: bool) -> torch.Tensor:
        shift, scale = self.condition(condition)[:, None].chunk(2, -1)
        mixed = self.mix(x)
        x = x + (functional.layer_norm(mixed, (8,)) * (1 + scale) if inside else mixed)
        hidden = functional.layer_norm(x, (8,)) * (1 + scale) + shift
        return x + self.second(functional.gelu(self.first(hidden)))


class Conditional(nn.Module):
    def __init__(self, depth: int, inside: bool) -> None:
        super().__init__()
        self.entry, self.out, self.inside = nn.Linear(5, 8), nn.Linear(8, 3), inside
        self.blocks = nn.ModuleList(Conditioned() for _ in range(depth))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        for block in self.blocks:
            x = block(x, condition, self.inside)
        return self.out(x)


@pytest.mark.parametrize("inside", [False, True])
def test_what_is_done_behind_the_sum_lifts_no_branch(inside: bool) -> None:
    given, wanted = randomised(Conditional(2, inside), 1), randomised(Conditional(3, inside), 2)
    generator = torch.Generator().manual_seed(0)
    example = tuple(torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in ((3, 5), (4,)))
    plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
    apart = distance(given, wanted, example)
    assert promises(plan) <= (apart < 1e-9)
    assert inside or apart < 1e-9
