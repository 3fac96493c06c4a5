"""Tables of positions that grow keep the rows that code looks up, whatever stands before the first one's, and those
that are worked out follow the stream that they are added to."""

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


FEATURES = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))


def waves(positions: int, width: int, base: float = 10_000.0) -> torch.Tensor:
    turns = torch.arange(positions)[:, None] / base ** (torch.arange(0, width, 2) / width)
    return torch.stack([turns.sin(), turns.cos()], dim=-1).reshape(1, positions, width)


class Placed(nn.Module):
    """Features with a table of more positions than are looked up: learned, or waves that are worked out and saved."""

    def __init__(self, width: int, positions: int = 12, base: float | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(5, width)
        if base is None:
            self.table: torch.Tensor = nn.Parameter(torch.randn(1, positions, width))
        else:
            self.register_buffer("table", waves(positions, width, base))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.first(features) + self.table[:, : features.shape[1]]))


def placed(width: int, seed: int, base: float = 1e4) -> nn.Module:
    model = randomised(Placed(width, base=base), seed)
    model.table.copy_(waves(12, width, base))
    return model


@pytest.mark.parametrize(("width", "bound"), [(16, 1e-6), (12, 1e-4)])
def test_waves_that_are_saved_are_widened_with_the_stream_that_they_are_added_to(width: int, bound: float) -> None:
    source, target = placed(8, 1), placed(width, 2)
    plan = apply_tli(target, source, example=FEATURES, options=Options(method="maps"))
    assert distance(source, target, (FEATURES.double(),)) < bound
    assert all(step.exact for step in plan.steps)


def test_what_stands_behind_other_waves_of_the_same_shape_is_not_exact() -> None:
    source, target = placed(8, 1), placed(8, 2, base=50.0)
    plan = apply_tli(target, source, example=FEATURES, options=Options(method="maps"))
    assert distance(source, target, (FEATURES.double(),)) > 1e-3
    assert not all(step.exact for step in plan.steps if step.pieces)


@pytest.mark.parametrize("positions", [6, 8, 12, 40])
@pytest.mark.parametrize("held", [6, 12])
def test_rows_that_are_not_looked_up_go_by_index(held: int, positions: int) -> None:
    source, target = randomised(Placed(8, held), 1), randomised(Placed(8, positions), 2)
    apply_tli(target, source, example=FEATURES, options=Options(method="maps"))
    kept = min(held, positions)
    assert torch.equal(target.table[:, :kept], source.table[:, :kept])
