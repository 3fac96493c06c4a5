"""Rows of numbers and categories as tokens: what makes these grows with the stream behind them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli


class Tabular(nn.Module):
    """A token for each number and each category, whose rows stand in one table (arXiv 2106.11959)."""

    def __init__(self, width: int, depth: int = 1) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.randn(4, width)), nn.Parameter(torch.randn(4, width))
        self.table, self.first = nn.Embedding(9, width), nn.Parameter(torch.randn(1, 1, width))
        self.register_buffer("begins", torch.tensor([0, 3, 5]))
        layers = [
            nn.TransformerEncoderLayer(width, 2, 12, 0.0, batch_first=True, norm_first=True) for _ in range(depth)
        ]
        self.layers, self.norm, self.head = nn.Sequential(*layers), nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        counted, named = numbers.unsqueeze(-1) * self.scale + self.shift, self.table(categories + self.begins)
        tokens = torch.cat([self.first.expand(len(numbers), -1, -1), counted, named], 1)
        return self.head(self.norm(self.layers(tokens)[:, 0]))


@pytest.mark.parametrize(("width", "depth"), [(16, 1), (12, 1), (8, 2)])
def test_tokens_of_numbers_and_of_categories_grow(width: int, depth: int) -> None:
    given, wanted = randomised(Tabular(8), 1), randomised(Tabular(width, depth), 2)
    example = (torch.randn(2, 4).double(), torch.tensor([[0, 1, 3], [2, 0, 1]]))
    plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, example) < 1e-4
