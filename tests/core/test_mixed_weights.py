"""Weights that code mixes from learned bases, as graph layers with relations do, are summed over as the bases are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

Mix = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
EXAMPLE = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MIXES: dict[str, Mix] = {
    "einsum": lambda shares, bases: torch.einsum("rb,bio->rio", shares, bases),
    "product": lambda shares, bases: (shares @ bases.flatten(1)).view(-1, *bases.shape[1:]),
    "turned": lambda shares, bases: torch.einsum("rb,bio->roi", shares, bases).mT,
    "tensordot": lambda shares, bases: torch.tensordot(shares, bases, 1),
}


class Mixed(nn.Module):
    """Relations by bases (arXiv 1703.06103), between two layers."""

    def __init__(self, mix: Mix, width: int) -> None:
        super().__init__()
        self.first, self.last, self.mix = nn.Linear(6, width), nn.Linear(width, 4), mix
        self.shares, self.bases = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.last(torch.relu(sum(x @ weight for weight in self.mix(self.shares, self.bases))))


@pytest.mark.parametrize("width", [12, 16])
@pytest.mark.parametrize("mix", MIXES)
def test_bases_grow_with_what_they_take_and_make(mix: str, width: int) -> None:
    given, wanted = randomised(Mixed(MIXES[mix], 8), 1), randomised(Mixed(MIXES[mix], width), 2)
    plan = apply_tli(wanted, given, example=EXAMPLE, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, (EXAMPLE,)) < 1e-9
