"""The order in which code takes and lays channels: another one is another function, however it is written."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

MAPS = Options(method="maps")


class Waves(nn.Module):
    """A time step as sines and cosines, laid in one order, or cut and laid anew in the other."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.hidden, self.out = way, nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        waves = time[:, None] * torch.exp(-math.log(1e4) * torch.arange(4) / 4)
        laid = torch.cat([waves.cos(), waves.sin()] if self.way == "cosines" else [waves.sin(), waves.cos()], -1)
        laid = torch.cat([laid[:, 4:], laid[:, :4]], -1) if self.way == "turned" else laid
        return self.out(self.hidden(laid.to(self.hidden.weight.dtype)).relu())


@pytest.mark.parametrize(
    ("source", "target", "same"), [("sines", "turned", False), ("sines", "cosines", False), ("cosines", "turned", True)]
)
def test_parts_that_are_cut_and_laid_in_another_order_are_seen(source: str, target: str, same: bool) -> None:
    given, wanted = randomised(Waves(source), 1).double(), randomised(Waves(target), 2).double()
    example = (torch.tensor([3.0, 7.0]).double(),)
    plan = apply_tli(wanted, given, example=example, options=MAPS)
    assert promises(plan) is same is (distance(given, wanted, example) < 1e-9)


class Taken(nn.Module):
    """Channels that code takes in an order: a list, a buffer that is not saved, or what it works out."""

    def __init__(self, way: str, turned: bool) -> None:
        super().__init__()
        order = torch.tensor([2, 0, 3, 1] if turned else range(4))
        self.register_buffer("order", order, persistent=False)
        self.first, self.hidden, self.out = nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(6, 3)
        self.way, self.turned = way, turned

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.way == "input" else self.first(x)
        if self.way == "buffer":
            y = y[:, self.order]
        elif self.way == "selected":
            y = y.index_select(1, self.order)
        elif self.way == "rolled":
            y = y[:, torch.arange(4).roll(int(self.turned))]
        elif self.turned:
            y = y[:, [2, 0, 3, 1]]
        y = self.first(y) if self.way == "input" else y
        return self.out(self.hidden(y).relu())


@pytest.mark.parametrize("way", ["input", "inside", "buffer", "selected", "rolled"])
@pytest.mark.parametrize("turned", [False, True])
def test_channels_that_are_taken_in_another_order_are_seen(way: str, turned: bool) -> None:
    given, wanted = randomised(Taken(way, False), 1), randomised(Taken(way, turned), 2)
    plan = apply_tli(wanted, given, example=(torch.randn(2, 4),), options=MAPS)
    assert promises(plan) is not turned


class Beside(nn.Module):
    """The input as it is stands beside what is made of it, as in graphs' messages and in critics."""

    def __init__(self, given: int) -> None:
        super().__init__()
        self.made, self.read, self.out = nn.Linear(2 * given, given), nn.Linear(2 * given, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.made(torch.cat([x, x.flip(0)], -1))
        return self.out(self.read(torch.cat([x, made], -1)).relu())


def test_inputs_that_the_source_lacks_start_at_zero_beside_channels_too() -> None:
    given, wanted = randomised(Beside(6), 1).double(), randomised(Beside(9), 2).double()
    more = torch.randn(4, 9).double()
    plan = apply_tli(wanted, given, example=(more,), teacher_example=(more[:, :6],), options=MAPS)
    assert promises(plan)
    with torch.no_grad():
        torch.testing.assert_close(wanted(more), given(more[:, :6]))
