"""More layers within the blocks, and as many blocks: what is added to a plain chain starts as the identity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli


class Forecaster(nn.Module):
    """Blocks that take off what they explain (arXiv 1905.10437), each a perceptron of some depth."""

    def __init__(self, depth: int, *between: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleDict(self._block(depth, between or (nn.ReLU,))) for _ in range(2))

    @staticmethod
    def _block(depth: int, between: tuple[Callable[[], nn.Module], ...]) -> dict[str, nn.Module]:
        layers = [m for i in range(depth) for m in (nn.Linear(12 if i else 8, 12), *(make() for make in between))]
        return {"row": nn.Sequential(*layers), "explained": nn.Linear(12, 8), "forecast": nn.Linear(12, 3)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.zeros_like(x[:, :3])
        for block in self.blocks:
            hidden = block["row"](x)
            x, found = x - block["explained"](hidden), found + block["forecast"](hidden)
        return found


VECTORS = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("more", [1, 2])
def test_layers_that_blocks_gain_change_nothing(more: int) -> None:
    given, wanted = randomised(Forecaster(2), 1), randomised(Forecaster(2 + more), 2)
    plan = apply_tli(wanted, given, example=VECTORS)
    assert promises(plan) and distance(given, wanted, (VECTORS,)) < 1e-9


@pytest.mark.parametrize(
    "between", [(nn.Tanh,), (partial(nn.LayerNorm, 12), nn.ReLU), (partial(nn.BatchNorm1d, 12), nn.ReLU)]
)
def test_what_is_no_identity_there_is_not_called_exact(between: tuple[Callable[[], nn.Module], ...]) -> None:
    given, wanted = randomised(Forecaster(2, *between), 1), randomised(Forecaster(3, *between), 2)
    plan = apply_tli(wanted, given, example=VECTORS)
    assert not promises(plan)
    assert between == (nn.Tanh,) or not any(step.initial == "identity" for step in plan.steps)
