"""Heads that are an embedding's own table: they sum over every copy of a channel, so that a norm before them must
divide, and nothing is promised where none can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import Options, apply_tli

Behind = Callable[["Tied", torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
TOKENS = torch.arange(10).reshape(2, 5)


class Tied(nn.Module):
    """A table, an MLP, and the table as a head of what `behind` makes of the embedding and of what comes of it."""

    def __init__(self, behind: Behind, width: int) -> None:
        super().__init__()
        self.behind, self.table = behind, nn.Embedding(12, width)
        self.inner, self.outer = nn.Linear(width, 16), nn.Linear(16, width)
        self.norm, self.other = nn.LayerNorm(width, eps=1e-12), nn.Linear(width, 3)

    def head(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.table.weight.T

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        return self.behind(self, x, self.outer(torch.relu(self.inner(x))), tokens)


def two_readers(net: Tied, x: torch.Tensor, y: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    normed = net.norm(y)
    return torch.cat([net.head(normed), net.other(normed)], -1)


def masked(net: Tied, x: torch.Tensor, y: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return net.head(net.norm(y) * (tokens > 2).unsqueeze(-1).to(y.dtype))


@pytest.mark.parametrize("width", [16, 12], ids=["twice", "half as much again"])
@pytest.mark.parametrize(
    ("behind", "kept"),
    [
        (lambda net, x, y, _: net.head(net.norm(y)), (16, 12)),
        (masked, (16, 12)),
        (two_readers, (12,)),
        (lambda net, x, y, _: net.head(functional.gelu(net.norm(y))), (12,)),
        (lambda net, x, y, _: net.head(y), ()),
        (lambda net, x, y, _: net.head(x + y), ()),
        (lambda net, x, y, _: net.head(net.norm(y) + x), ()),
        (lambda net, x, y, _: net.head(x + net.outer(torch.relu(net.inner(net.norm(x))))), ()),
    ],
    ids=["norm", "masked", "two readers", "gelu", "linear", "sum", "norm in a sum", "stream"],
)
def test_wider_tables_that_are_heads_are_exact_where_a_norm_divides_for_them(behind, kept, width: int) -> None:
    given, wanted = randomised(Tied(behind, 8), 1), randomised(Tied(behind, width), 2)
    plan = apply_tli(wanted, given, example=TOKENS, options=Options(method="maps"))
    assert next(step for step in plan.steps if step.target == "table.weight").exact == (width in kept)
    if width in kept:
        assert distance(given, wanted, (TOKENS,)) < 1e-9


class Shifted(nn.Module):
    """Tables that are looked up at what code makes of the tokens alone, which are no heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table, self.places, self.last = nn.Embedding(12, width), nn.Embedding(12, width), nn.Linear(width, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        after = torch.where(tokens == 3, torch.ones_like(tokens), tokens)
        return self.last(torch.relu(self.table(tokens) + self.table(after) + self.places((tokens != 1).cumsum(1))))


def test_tables_that_are_looked_up_at_changed_tokens_are_no_heads() -> None:
    given, wanted = randomised(Shifted(8), 1), randomised(Shifted(16), 2)
    plan = apply_tli(wanted, given, example=TOKENS, options=Options(method="maps"))
    assert all(step.exact for step in plan.steps)
    assert distance(given, wanted, (TOKENS,)) < 1e-9
