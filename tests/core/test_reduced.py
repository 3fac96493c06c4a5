"""What channels and places are reduced to is part of the function: a sum is no mean, and a largest value neither."""

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

Reduce = Callable[[torch.Tensor], torch.Tensor]
EXAMPLE = (torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64),)
OPTIONS = Options(method="maps", head="keep")
REDUCED: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "sum": lambda x, dim: x.sum(dim, keepdim=True),
    "mean": lambda x, dim: x.mean(dim, keepdim=True),
    "largest": lambda x, dim: x.amax(dim, keepdim=True),
    "smallest": lambda x, dim: x.amin(dim, keepdim=True),
    "length": lambda x, dim: x.norm(dim=dim, keepdim=True),
    "deviation": lambda x, dim: x.std(dim, keepdim=True, unbiased=False),
}


class Reduced(nn.Module):
    def __init__(self, reduce: Reduce) -> None:
        super().__init__()
        self.first, self.last, self.reduce = nn.Linear(6, 8), nn.Linear(8, 3), reduce

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(x * torch.sigmoid(self.reduce(x)))


@pytest.mark.parametrize("dim", [1, 2], ids=["places", "channels"])
@pytest.mark.parametrize(("mine", "theirs"), [*permutations(REDUCED, 2), *zip(REDUCED, REDUCED, strict=True)])
def test_other_reductions_are_other_code(mine: str, theirs: str, dim: int) -> None:
    given, wanted = (randomised(Reduced(partial(REDUCED[n], dim=dim)), seed) for seed, n in enumerate((mine, theirs)))
    plan = apply_tli(wanted, given, example=EXAMPLE, options=OPTIONS)
    assert promises(plan) is (mine == theirs) is (distance(given, wanted, EXAMPLE) < 1e-9)


class Meeting(nn.Module):
    """Two values that meet channel by channel, of which one is `made` of what its layer gives."""

    def __init__(self, made: str, width: int) -> None:
        super().__init__()
        self.left, self.right, self.made = nn.Linear(6, width), nn.Linear(6, width), made
        self.norm, self.last = nn.LayerNorm(width, eps=1e-9), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.left(x), self.norm(self.right(x))
        if self.made == "direction":
            return self.last(right * (functional.normalize(right, dim=-1) * left).sum(-1, keepdim=True))
        right = torch.relu(right)
        return self.last(right * torch.tanh((right * left).sum(-1, keepdim=True)))


@pytest.mark.parametrize(("made", "width", "kept"), [("norm", 16, True), ("norm", 12, True), ("direction", 16, False)])
def test_what_meets_the_output_of_a_norm_makes_up_for_copies_or_nothing_is_promised(
    made: str, width: int, kept: bool
) -> None:
    given, wanted = randomised(Meeting(made, 8), 1), randomised(Meeting(made, width), 2)
    plan = apply_tli(wanted, given, example=EXAMPLE, options=OPTIONS)
    assert promises(plan) is kept is (distance(given, wanted, EXAMPLE) < 1e-6)


class Gated(nn.Module):
    """Two values, of which `joined` makes one with the other."""

    def __init__(self, joined: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)
        self.joined = joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.joined(self.left(x), torch.relu(self.right(x))))


JOINED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": lambda a, b: a * b.mean(1, keepdim=True),
    "difference": torch.sub,
    "quotient": lambda a, b: a / (b + 2),
    "softsign": lambda a, b: functional.softsign(a) + b,
    "shift": lambda a, b: a * (1 - b),
    "largest": lambda a, b: (a - a.amax(-1, keepdim=True)) * b,
}


@pytest.mark.parametrize("name", JOINED)
def test_what_code_does_with_one_of_two_values_is_other_code_with_the_other(name: str) -> None:
    join = JOINED[name]
    given, same = randomised(Gated(join), 1), randomised(Gated(join), 2)
    assert promises(apply_tli(same, given, example=EXAMPLE, options=OPTIONS))
    turned = randomised(Gated(lambda a, b: join(b, a)), 3)
    plan = apply_tli(turned, given, example=EXAMPLE, options=OPTIONS)
    assert not promises(plan) and distance(given, turned, EXAMPLE) > 1e-3


class Pooled(nn.Module):
    """Attention and a block, of whose places the first is taken at one `step` or another."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step, self.first, self.norm, self.last = step, nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)
        self.q, self.k, self.v, self.fc1, self.fc2 = (nn.Linear(8, 8) for _ in range(5))

    def pick(self, step: str, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0] if step == self.step else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        scores = self.q(self.pick("query", x).reshape(len(x), -1, 8)) @ self.k(x).transpose(1, 2)
        x = self.pick("block", x + (scores / 8**0.5).softmax(-1) @ self.v(x))
        x = self.pick("norm", x + self.fc2(functional.gelu(self.fc1(x))))
        x = self.pick("tanh", self.norm(x))
        x = self.pick("last", torch.tanh(x))
        return self.pick("end", self.last(x))


@pytest.mark.parametrize("steps", permutations(("block", "norm", "tanh", "last", "end"), 2))
def test_a_place_may_be_taken_before_or_behind_what_is_done_at_each(steps: tuple[str, str]) -> None:
    given, wanted = (randomised(Pooled(step), seed) for seed, step in enumerate(steps))
    plan = apply_tli(wanted, given, example=EXAMPLE, options=OPTIONS)
    assert promises(plan) and distance(given, wanted, EXAMPLE) < 1e-6


def test_a_place_is_not_taken_before_attention_as_behind_it() -> None:
    for steps in (("query", "block"), ("block", "query")):
        given, wanted = (randomised(Pooled(step), seed) for seed, step in enumerate(steps))
        assert not promises(apply_tli(wanted, given, example=EXAMPLE, options=OPTIONS))


class Averaged(nn.Module):
    """Values of all places that are averaged before or behind what is `done` with them, ahead of a layer or last."""

    def __init__(self, done: Callable[[torch.Tensor], torch.Tensor], *, first: bool, at_end: bool) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.done, self.first, self.at_end = done, first, at_end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.inner(x))
        if self.at_end:
            return self.done(self.last(x.mean(1))) if self.first else self.done(self.last(x)).mean(1)
        return self.last(self.done(x.mean(1)) if self.first else self.done(x).mean(1))


@pytest.mark.parametrize("done", [torch.sigmoid, lambda x: x.clamp(-0.1, 0.1)], ids=["sigmoid", "clamp"])
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_mean_before_what_bends_values_is_not_the_mean_behind_it(
    done: Callable[[torch.Tensor], torch.Tensor], first: bool, at_end: bool
) -> None:
    given, wanted = (randomised(Averaged(done, first=own, at_end=at_end), 1 + own) for own in (first, not first))
    plan = apply_tli(wanted, given, example=EXAMPLE, options=OPTIONS)
    assert not promises(plan) and distance(given, wanted, EXAMPLE) > 1e-3
    same = randomised(Averaged(done, first=first, at_end=at_end), 3)
    assert promises(apply_tli(same, given, example=EXAMPLE, options=OPTIONS))
