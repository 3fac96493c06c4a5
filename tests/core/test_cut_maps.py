"""Attention over windows or grids of a map: no tensor tells how code cuts it, and each cut weighs other places."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli


class Windowed(nn.Module):
    """One attention over `size` x `size` windows of neighbours, or over as many places that stand apart."""

    def __init__(self, size: int = 2, spread: bool = False) -> None:
        super().__init__()
        self.size, self.spread = size, spread
        self.stem, self.qkv, self.out = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 24, bias=False), nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        b, c, h, w = x.shape
        cut, order = (h // self.size, self.size, w // self.size, self.size), (0, 2, 4, 3, 5, 1)
        if self.spread:
            cut, order = (self.size, h // self.size, self.size, w // self.size), (0, 3, 5, 2, 4, 1)
        tokens = x.view(b, c, *cut).permute(order).reshape(-1, self.size**2, c)
        q, k, v = self.qkv(tokens).chunk(3, -1)
        tokens = self.out((q @ k.transpose(1, 2)).softmax(-1) @ v) + tokens
        return self.head(tokens.relu().reshape(b, -1, c).mean(1))


def images(side: int) -> torch.Tensor:
    return torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "source, target, side, kept",
    [
        ({}, {}, 16, True),
        ({}, {}, 32, True),
        ({"spread": True}, {"spread": True}, 32, True),
        ({}, {"size": 4}, 16, False),
        ({}, {"size": 8}, 16, False),
        ({"size": 4}, {"size": 4, "spread": True}, 16, False),
    ],
)
def test_networks_that_cut_maps_otherwise_are_not_called_the_same(source, target, side, kept) -> None:
    """Eight places a side for the target, and as many or twice as many for the source."""
    giver, taker = randomised(Windowed(**source), 1), randomised(Windowed(**target), 2)
    plan = apply_tli(taker, giver, example=images(side))
    assert promises(plan) == kept
    assert (distance(giver, taker, (images(side),)) < 1e-9) == kept


class Restoring(nn.Module):
    """Gives as many colours as it takes, and adds what it was given."""

    def __init__(self, colours: int) -> None:
        super().__init__()
        self.norm, self.first = nn.BatchNorm2d(colours), nn.Conv2d(colours, 8, 3, padding=1)
        self.last = nn.Conv2d(8, colours, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(self.norm(x)).relu()) + x


@pytest.mark.parametrize("colours", [3, 4, 1])
def test_what_runs_over_the_input_is_repeated_and_not_divided(colours: int) -> None:
    given = {3: 1, 4: 3, 1: 3}[colours]
    source, target = randomised(Restoring(given), 1), randomised(Restoring(colours), 2)
    x = images(8)[:, :given]
    index = torch.arange(colours) % given
    plan = apply_tli(target, source, example=x[:, index])
    assert promises(plan) == (colours > given)
    if colours > given:
        assert torch.allclose(target(x[:, index]), source(x)[:, index])
