"""Tokens that are normalised before a class token and positions join them have no channel at the mean of the others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tests.models_tokens import Encoder
from tli_cli import Options, apply_tli

EXAMPLE = (torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64),)


class Classed(nn.Module):
    def __init__(self, width: int, normed: bool) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(6, width), nn.LayerNorm(width) if normed else nn.Identity())
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.zeros(1, 6, width))
        self.block = Encoder(width, 2, 4, 12, False, False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)], 1) + self.places
        return self.head(self.block(x)[:, 0])


@pytest.mark.parametrize(("width", "normed", "kept"), [(16, True, True), (12, True, False), (12, False, True)])
def test_what_a_norm_gives_is_widened_evenly_or_not_called_exact(width: int, normed: bool, kept: bool) -> None:
    given, wanted = randomised(Classed(8, normed), 1), randomised(Classed(width, normed), 2)
    plan = apply_tli(wanted, given, example=EXAMPLE, options=Options(method="maps"))
    assert promises(plan) is kept is (distance(given, wanted, EXAMPLE) < 1e-4)
