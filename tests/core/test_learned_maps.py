"""A map that is learned stands for an input: what convolves it is a layer of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli


class Styled(nn.Module):
    """A generator that starts from one learned map, to which each sample gives a style (arXiv 1812.04948)."""

    def __init__(self, width: int, biased: bool) -> None:
        super().__init__()
        self.start, self.style = nn.Parameter(torch.randn(1, width, 4, 4)), nn.Linear(6, 2 * width)
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=biased)
        self.second, self.colours = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 3, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        scale, shift = self.style(z)[:, :, None, None].chunk(2, 1)
        x = functional.leaky_relu(self.first(self.start.expand(len(z), -1, -1, -1)))
        deviation, mean = torch.std_mean(x, (2, 3), keepdim=True)
        x = (x - mean) / deviation * (1 + scale) + shift
        return self.colours(functional.leaky_relu(self.second(x)))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("width", [12, 16])
def test_a_learned_map_and_what_convolves_it_grow(width: int, biased: bool) -> None:
    given, wanted = randomised(Styled(8, biased), 1), randomised(Styled(width, biased), 2)
    example = (torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64),)
    plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, example) < 1e-9
