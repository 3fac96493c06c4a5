"""Activations and means that code writes out by simpler operations are those that torch has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.describe.tracing.trace import trace
from tli_cli.planning.numbers import numbers_behind

Form = Callable[[torch.Tensor], torch.Tensor]


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


def in_place(x: torch.Tensor) -> torch.Tensor:
    return x.mul_(x.sigmoid())


FORMS: dict[str, tuple[Form, Form]] = {
    "silu": (functional.silu, lambda x: x * torch.sigmoid(x)),
    "silu in place": (functional.silu, in_place),
    "silu of a function of its own": (functional.silu, Swish.apply),
    "relu": (functional.relu, lambda x: x.clamp(min=0)),
    "hardswish": (functional.hardswish, lambda x: x * functional.relu6(x + 3.0, inplace=True) / 6.0),
    "hardsigmoid": (functional.hardsigmoid, lambda x: functional.relu6(x + 3) / 6),
    "mish": (functional.mish, lambda x: x * torch.tanh(functional.softplus(x))),
    "gelu": (functional.gelu, lambda x: x * 0.5 * (1.0 + torch.erf(x / 1.41421356))),
    "gelu of tanh": (
        lambda x: functional.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * torch.pow(x, 3)))),
    ),
}


def traced(form: Form, pool: Form = lambda x: x.mean((2, 3))) -> Architecture:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(pool(form(self.conv(x))))

    return trace(Net().to("meta"), [torch.empty(1, 3, 8, 8, device="meta")])


@pytest.mark.parametrize("name", FORMS)
def test_what_is_written_out_is_the_same(name: str) -> None:
    own, written = (traced(form) for form in FORMS[name])
    assert written.graph == own.graph
    assert numbers_behind(written) == numbers_behind(own)


def test_what_is_something_else_stays_so() -> None:
    own = traced(functional.silu)
    for form in (
        lambda x: x * torch.sigmoid(1.702 * x),
        lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
        lambda x: x * torch.sigmoid(x.flip(1)),
        lambda x: in_place(x + 0) * x,
        lambda x: x / x.norm(dim=1, keepdim=True).clamp_min(1e-12),
    ):
        assert traced(form).graph != own.graph


def test_what_keeps_a_length_from_zero_is_no_activation() -> None:
    graph = traced(lambda x: functional.normalize(x, dim=1)).graph
    assert not any(node.op == "relu" for node in graph)


@pytest.mark.parametrize("size", [6, (6, 6)])
def test_a_pool_over_all_places_is_their_mean(size: int | tuple[int, int]) -> None:
    own = traced(functional.relu)
    pooled = traced(functional.relu, lambda x: functional.avg_pool2d(x, size).flatten(1))
    assert pooled.graph == own.graph and numbers_behind(pooled) == numbers_behind(own)


def test_other_pools_are_noted() -> None:
    around = traced(functional.relu, lambda x: functional.avg_pool2d(x, 6, 6, 1).mean((2, 3)))
    part = traced(functional.relu, lambda x: functional.avg_pool2d(x, 3).mean((2, 3)))
    assert all(any(n[0] == "avg_pool2d" for n in numbers_behind(net)[0]) for net in (around, part))


def test_numbers_that_become_truth_values_are_such_from_there_on() -> None:
    """As the groups of experts that a router leaves out."""
    masked = traced(lambda x: x.masked_fill(~torch.zeros_like(x).add(x > 0).bool(), 0.0))
    assert masked.order_from == "trace"
