"""Rows of one layer each, of growing dilation, or gathered by a concatenation: which of more blocks are new."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli


def pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs), nn.ReLU())


class Points(nn.Module):
    """Points turned by what a small network says of all of them, then a row of layers (arXiv 1612.00593)."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.look, self.turn = pointwise(2, 8), nn.Linear(8, 4)
        self.first, self.last = pointwise(2, 8), pointwise(8, 12)
        self.row = nn.Sequential(*(pointwise(8, 8) for _ in range(depth)))
        self.hidden, self.head = nn.Linear(12, 10), nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turned = torch.bmm(self.turn(self.look(x).amax(2)).view(-1, 2, 2), x)
        found = self.last(self.row(self.first(turned))).amax(2)
        return self.head(functional.relu(self.hidden(found)))


class Causal(nn.Module):
    """A residual block that looks back ever further, whose padding behind is cut off (arXiv 1803.01271)."""

    def __init__(self, inputs: int, width: int, dilation: int) -> None:
        super().__init__()
        self.cut = 2 * dilation
        self.first = nn.Conv1d(inputs, width, 3, padding=self.cut, dilation=dilation)
        self.second = nn.Conv1d(width, width, 3, padding=self.cut, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.first(x)[:, :, : -self.cut])
        return functional.relu(functional.relu(self.second(inner)[:, :, : -self.cut]) + self.shortcut(x))


class Signals(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.row = nn.Sequential(*(Causal(8 if i else 2, 8, 2**i) for i in range(depth)))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.row(x)[:, :, -1])


class Neighbours(nn.Module):
    """What differs between a point and the next (arXiv 1801.07829)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = pointwise(2 * inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(torch.cat([x.roll(1, 2) - x, x], 1))


class Gathered(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.row = nn.ModuleList([Neighbours(8 if i else 2, 8) for i in range(depth)])
        self.join, self.head = nn.Conv1d(8 * depth, 10, 1), nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [x]
        for block in self.row:
            found.append(block(found[-1]))
        return self.head(self.join(torch.cat(found[1:], 1)).mean(2))


@pytest.mark.parametrize("more", [1, 2])
@pytest.mark.parametrize("network", [Points, Signals, Gathered])
def test_what_is_added_to_a_row_changes_nothing(network: type[nn.Module], more: int) -> None:
    example = torch.randn(2, 2, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given, wanted = randomised(network(3), 1), randomised(network(3 + more), 2)
    plan = apply_tli(wanted, given, example=example)
    assert distance(given, wanted, (example,)) < 1e-9
    assert network is Gathered or promises(plan)
