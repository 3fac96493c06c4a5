"""Tables of positions that grow keep the rows that code looks up, whatever stands before the first one's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import Options, apply_tli

TOKENS = torch.randint(0, 16, (2, 7), generator=torch.Generator().manual_seed(0))


class Reading(nn.Module):
    """Tokens with a learned table of positions, of which two rows stand before the first one's."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(16, 8), nn.Embedding(positions + 2, 8)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device) + 2
        return self.head(self.norm(self.tokens(tokens) + self.positions(places)))


@pytest.mark.parametrize("positions", [80, 128])
def test_rows_ahead_stay_ahead_whatever_the_number_of_positions(positions: int) -> None:
    source, target = randomised(Reading(64), 1), randomised(Reading(positions), 2)
    apply_tli(target, source, example=TOKENS, options=Options(method="maps"))
    assert distance(source, target, (TOKENS,)) < 1e-12
