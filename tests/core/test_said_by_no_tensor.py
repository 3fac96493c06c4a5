"""What code does between layers of equal tensors: where two networks do it otherwise, nothing is called exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

Step = Callable[[torch.Tensor], torch.Tensor]


class Between(nn.Module):
    """Two convolutions, and what code does between them and with what the last one makes."""

    def __init__(self, between: Step = lambda x: x, pool: Step = lambda x: x.mean((2, 3))) -> None:
        super().__init__()
        self.between, self.pool = between, pool
        self.first, self.last, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.last(self.between(self.first(x).relu())).relu()))


class Tokens(nn.Module):
    """One attention over tokens, barred as `bar` does with scores, behind what code adds to them."""

    def __init__(self, bar: Step = lambda s: s, add: Step = lambda x: x, pool: Step = lambda x: x.mean(1)) -> None:
        super().__init__()
        self.bar, self.add, self.pool = bar, add, pool
        self.embed, self.qkv, self.head = nn.Linear(6, 8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.add(self.embed(x).relu())
        q, k, v = self.qkv(x).chunk(3, -1)
        x = x + self.bar(q @ k.transpose(1, 2)).softmax(-1) @ v
        return self.head(self.pool(x))


class Normed(nn.Module):
    """A norm that is written out over some of the axes of a map."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes
        self.first, self.scale = nn.Conv2d(3, 8, 3), nn.Parameter(torch.ones(8, 1, 1))
        self.shift, self.head = nn.Parameter(torch.zeros(8, 1, 1)), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        centred = x - x.mean(self.axes, keepdim=True)
        deviation = (centred.pow(2).mean(self.axes, keepdim=True) + 1e-5).sqrt()
        return self.head((centred / deviation * self.scale + self.shift).relu().mean((2, 3)))


class Transposed(nn.Module):
    """A convolution that enlarges a map."""

    def __init__(self, stride: int, padding: int = 0, output_padding: int = 0) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 8, 4, stride, padding, output_padding)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(self.first(x).relu()).relu().mean((2, 3)))


def ones(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)


def causal(scores: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(~ones(scores).tril(), float("-inf"))


def causal_by_sum(scores: torch.Tensor) -> torch.Tensor:
    return scores + torch.full(scores.shape[-2:], -1e9, device=scores.device).triu(1)


def banded(scores: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(~ones(scores).tril(2).triu(-2), -1e4)


def waves(base: float) -> Step:
    def added(x: torch.Tensor) -> torch.Tensor:
        angles = torch.arange(x.shape[1], device=x.device)[:, None] / base ** (torch.arange(4, device=x.device) / 4)
        return x + torch.cat([angles.sin(), angles.cos()], -1).to(x.dtype)

    return added


def seconds(start: int) -> Step:
    return lambda x: x[:, :, start::2, start::2]


def around(value: float, *sides: int) -> Step:
    return lambda x: functional.pad(x, sides, value=value)


POOLS: list[Step] = [
    lambda x: x.mean((2, 3)),
    lambda x: x.sum((2, 3)),
    lambda x: x.std((2, 3)),
    lambda x: x[:, :, 1:].mean((2, 3)),
    lambda x: x[:, :, :-1].mean((2, 3)),
]
PLAIN_NORMS: list[Step] = [
    lambda x: functional.layer_norm(x.movedim(1, -1), (8,)).movedim(-1, 1),
    lambda x: functional.layer_norm(x, tuple(x.shape[1:])),
    lambda x: functional.instance_norm(x),
    lambda x: functional.group_norm(x, 2),
]
LENGTHS = [partial(functional.normalize, p=p, dim=dim) for p, dim in ((2, 1), (1, 1), (2, 3))]
AROUND = [around(0, 0, 0, 0, 0), around(0, 1, 0, 0, 0), around(0, 0, 1, 0, 0), around(1, 1, 1, 1, 1)]


FAMILIES: dict[str, list[nn.Module]] = {
    "every second place": [Between(seconds(0)), Between(seconds(1))],
    "turned maps": [Between(), Between(lambda x: x.transpose(2, 3))],
    "what stands around": list(map(Between, AROUND)),
    "repeats": [Between(lambda x: x.repeat(1, 1, 2, 1)), Between(lambda x: x.repeat_interleave(2, 2))],
    "roots": [Between(), Between(lambda x: x.sqrt())],
    "means": [Between(lambda x: x - x.mean(1, keepdim=True)), Between(lambda x: x - x.mean((2, 3), keepdim=True))],
    "pools": [Between(pool=pool) for pool in POOLS],
    "masks": [Tokens(), Tokens(causal), Tokens(banded), Tokens(lambda s: s.masked_fill(ones(s).tril(-1), -1e9))],
    "positions": [Tokens(), Tokens(add=waves(1e4)), Tokens(add=waves(1e2))],
    "shifts": [Tokens(), Tokens(add=lambda x: functional.pad(x, (0, 0, 1, -1)))],
    "norms without tensors": list(map(Between, PLAIN_NORMS)),
    "lengths": list(map(Between, LENGTHS)),
    "norms": [Normed(1), Normed(2, 3), Normed(1, 2, 3)],
    "transposed": [Transposed(2), Transposed(2, 1), Transposed(2, 1, 1), Transposed(4)],
}
CASES = [pytest.param(*pair, id=name) for name, held in FAMILIES.items() for pair in permutations(held, 2)]


def sample(network: nn.Module) -> torch.Tensor:
    shape = (2, 10, 6) if isinstance(network, Tokens) else (2, 3, 10, 12)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def moved(source: nn.Module, target: nn.Module) -> tuple[bool, float]:
    """Return whether a plan promises that outputs stay, and how far apart they are."""
    giver, taker = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(taker, giver, example=sample(giver), options=Options(head="keep"))
    return promises(plan), distance(giver, taker, (sample(giver),))


@pytest.mark.parametrize("source, target", CASES)
def test_what_differs_is_not_promised(source, target) -> None:
    promised, apart = moved(source, target)
    assert not promised or apart < 1e-9


@pytest.mark.parametrize(
    "source, target", [(Tokens(causal), Tokens(causal_by_sum)), (Tokens(causal_by_sum), Tokens(causal))]
)
def test_masks_that_are_written_otherwise_are_the_same(source, target) -> None:
    promised, apart = moved(source, target)
    assert promised and apart < 1e-9
