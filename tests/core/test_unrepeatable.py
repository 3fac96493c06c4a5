"""Channels of which there cannot be copies, or not more of some than of others, without another function."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Shuffled(nn.Module):
    """Channels that are added to themselves in another order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, width, 3), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last((x + nn.functional.channel_shuffle(x, 2)).mean((2, 3)))


class Gated(nn.Module):
    """Channels gated by their sizes, which are weighed, and then divided by the root of their mean square over channels
    (Gated Channel Transformation, arXiv 1909.11519)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, width, 3), nn.Linear(width, 4)
        self.alpha, self.gamma = (nn.Parameter(torch.ones(1, width, 1, 1)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        size = (x.pow(2).sum((2, 3), keepdim=True) + 1e-5).sqrt() * self.alpha
        gate = size / (size.pow(2).mean(1, keepdim=True) + 1e-5).sqrt() * self.gamma
        return self.last((x * (1 + torch.tanh(gate))).mean((2, 3)))


class Sloped(nn.Module):
    """A layer norm behind slopes, one for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.slope = nn.Conv2d(3, width, 3), nn.PReLU(width)
        self.norm, self.last = nn.LayerNorm(width, eps=1e-12), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.slope(self.first(x)).mean((2, 3))))


class Beside(nn.Module):
    """A norm, and a value that is divided by the width behind it, but is none of the norm's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(3, width, 3), nn.Conv2d(3, width, 3)
        self.norm, self.last, self.end = nn.LayerNorm(width), nn.Linear(width, 4), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        other, normed = self.other(x), self.norm(self.first(x).mean((2, 3)))
        other = other / len(self.norm.weight)
        return self.last(normed) + self.end(other.mean((2, 3)))


@pytest.mark.parametrize(
    ("make", "width", "kept"),
    [
        (Shuffled, 16, False),
        (Gated, 16, True),
        (Gated, 12, False),
        (Sloped, 16, True),
        (Sloped, 12, False),
        (Beside, 16, False),
    ],
)
def test_what_copies_change_is_not_called_exact(make: type[nn.Module], width: int, kept: bool) -> None:
    given, wanted = randomised(make(8), 1), randomised(make(width), 2)
    plan = apply_tli(wanted, given, example=IMAGES, options=Options(method="maps"))
    assert promises(plan) is kept is (distance(given, wanted, (IMAGES,)) < 1e-9)
