"""What code does to a branch or a stream: what it makes of zeros, and of channels that are left over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import apply_tli
from tli_cli.planning.identity import NOT_ZERO
from tli_cli.providers.module import describe_live


class Shaped(nn.Module):
    """Residual blocks of which `shape` has the last word, with norms that take means away or do not."""

    def __init__(
        self, depth: int, shape: Callable[[torch.Tensor], torch.Tensor], width: int = 8, norm: Any = nn.RMSNorm
    ) -> None:
        super().__init__()
        self.shape, self.first, self.last = shape, nn.Linear(6, width), nn.Linear(width, 3)
        self.norms, self.inner, self.outer = (
            nn.ModuleList(make() for _ in range(depth))
            for make in (partial(norm, width), partial(nn.Linear, width, 12), partial(nn.Linear, 12, width))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for norm, inner, outer in zip(self.norms, self.inner, self.outer, strict=True):
            x = x + self.shape(outer(torch.relu(inner(norm(x)))))
        return self.last(x)


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        (lambda x: 0.5 * torch.tanh(x) ** 2, True),
        (lambda x: x.clamp(-1, 1), True),
        (lambda x: x + 1, False),
        (lambda x: 1 - x, False),
        (lambda x: x.clamp(min=0.5), False),
        (lambda x: torch.where(x > 0, x, torch.ones_like(x)), False),
        (lambda x: x.index_fill(-1, torch.tensor([0]), 1.0), False),
        (lambda x: functional.hardtanh(x, 0.1, 1.0), False),
        (lambda x: 2**x, False),
        (torch.exp, False),
        (torch.cosh, False),
        (functional.logsigmoid, False),
        (lambda x: functional.log_softmax(x, -1), False),
    ],
    ids=[
        "square",
        "clamp",
        "shift",
        "turn",
        "floor",
        "where",
        "fill",
        "hardtanh",
        "base",
        "exp",
        "cosh",
        "logsigmoid",
        "log_softmax",
    ],
)
def test_a_branch_that_gives_something_for_nothing_is_not_called_exact(shape, kept: bool) -> None:
    given, wanted = randomised(Shaped(2, shape), 1), randomised(Shaped(4, shape), 2)
    example = torch.randn(4, 6, dtype=torch.float64)
    plan = apply_tli(wanted, given, example=example)
    assert all(step.exact for step in plan.steps) == kept
    assert not kept or distance(given, wanted, (example,)) < 1e-9


@pytest.mark.parametrize(
    ("norm", "shape", "kept"),
    [
        (nn.RMSNorm, lambda x: 0.5 * torch.tanh(x) ** 2, True),
        (nn.RMSNorm, lambda x: x + 1, False),
        (nn.RMSNorm, torch.exp, False),
        (nn.LayerNorm, lambda x: 0.5 * x + 1, True),
        (nn.LayerNorm, lambda x: x.clamp(-1, 1), False),
        (nn.LayerNorm, torch.exp, False),
        (nn.LayerNorm, torch.cosh, False),
    ],
)
def test_channels_left_over_of_a_wider_stream_are_exact_where_code_keeps_them(norm, shape, kept: bool) -> None:
    given, wanted = (randomised(Shaped(2, shape, width, partial(norm, eps=1e-12)), width) for width in (8, 12))
    example = torch.randn(4, 6, dtype=torch.float64)
    plan = apply_tli(wanted, given, example=example)
    assert all(step.exact for step in plan.steps) == kept
    assert not kept or distance(given, wanted, (example,)) < 1e-9


OF_NOTHING = {
    "_log_softmax": partial(functional.log_softmax, dim=-1),
    "acos": torch.acos,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "eq": lambda x: (x == 0).to(x.dtype),
    "erfc": torch.erfc,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "ge": lambda x: (x >= 0).to(x.dtype),
    "hardsigmoid": functional.hardsigmoid,
    "i0": torch.special.i0,
    "le": lambda x: (x <= 0).to(x.dtype),
    "log_sigmoid_forward": functional.logsigmoid,
    "logaddexp": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "logaddexp2": lambda x: torch.logaddexp2(x, torch.zeros_like(x)),
    "logcumsumexp": lambda x: x.logcumsumexp(-1),
    "logsumexp": lambda x: torch.logsumexp(torch.stack([x, 2 * x]), 0),
    "masked_fill": lambda x: x.masked_fill(x == 0, 1.0),
    "reciprocal": torch.reciprocal,
    "sigmoid": torch.sigmoid,
    "sinc": torch.sinc,
    "softmax": partial(functional.softmax, dim=-1),
    "softplus": functional.softplus,
    "special_erfcx": torch.special.erfcx,
    "threshold": lambda x: functional.threshold(x, 0.1, 2.0),
}


@pytest.mark.parametrize("name", sorted(NOT_ZERO))
def test_what_gives_something_for_nothing_is_called_so_in_graphs(name: str) -> None:
    function = OF_NOTHING[name]
    found = describe_live(Shaped(1, function), (torch.randn(2, 6),))
    told = {node.op for node in found.graph} | {number[0] for layer in found.layers for number in layer.numbers}
    assert name in told
    assert torch.any(function(torch.zeros(2, 8)) != 0)


class TurnedThenNormed(nn.Module):
    """Residual blocks that weigh their values by sums of what a layer makes, normalised after they are turned."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(8, 8) for name in ("q", "v", "out")} | {"norm": nn.RMSNorm(8)})
            for _ in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, angles = self.first(x), torch.arange(8, dtype=x.dtype)
        for block in self.blocks:
            made = block["q"](x)
            turned = made * angles.cos() + torch.cat([-made[..., 4:], made[..., :4]], -1) * angles.sin()
            x = x + block["out"](block["v"](x) * block["norm"](turned))
        return self.last(x)


def test_a_norm_of_what_a_block_turns_is_none_of_the_stream() -> None:
    given, wanted = randomised(TurnedThenNormed(2), 1), randomised(TurnedThenNormed(3), 2)
    example = torch.randn(4, 6, dtype=torch.float64)
    assert all(step.exact for step in apply_tli(wanted, given, example=example).steps)
    assert distance(given, wanted, (example,)) < 1e-9
