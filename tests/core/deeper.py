"""Networks of any number of blocks, and what becomes of them when there are more."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import apply_tli
from tli_cli.plan import Plan

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Staged(nn.Module):
    """A stem and a row of blocks, over maps or over their places as tokens."""

    def __init__(self, block: type[nn.Module], depth: int, tokens: bool = False) -> None:
        super().__init__()
        self.tokens = tokens
        self.stem = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 4, 4))
        self.down = nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1))
        self.blocks = nn.Sequential(*(block(8) for _ in range(depth)))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(self.stem(x))
        if self.tokens:
            return self.head(self.blocks(x.flatten(2).transpose(1, 2)).mean(1))
        return self.head(self.blocks(x).mean((2, 3)))


def deeper(make: Callable[[int], nn.Module]) -> tuple[float, Plan]:
    """Return how far apart a network of three blocks and one of four that is started from it are, and the plan."""
    given, wanted = randomised(make(3), 1), randomised(make(4), 2)
    plan = apply_tli(wanted, given, example=IMAGES)
    return distance(given, wanted, (IMAGES,)), plan
