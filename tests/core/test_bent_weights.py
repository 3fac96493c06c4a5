"""Weights that code bends before it uses them, by an activation or a norm, are another function of the same tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

Bend = Callable[[torch.Tensor], torch.Tensor]
BENT: dict[str, Bend] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "relu": torch.relu,
    "softmax": lambda weight: weight.softmax(-1),
    "square": lambda weight: weight * weight,
    "power": lambda weight: weight**3,
    "direction": lambda weight: functional.normalize(weight, dim=-1),
    "centred": lambda weight: weight - weight.mean(-1, keepdim=True),
}
USED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "linear": functional.linear,
    "product": lambda x, weight: x @ weight.t(),
    "scale": lambda x, weight: (x[:, None] * weight).flatten(1),
    "sum": lambda x, weight: (x[:, None] * weight).sum(-1),
}
EXAMPLE = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Net(nn.Module):
    def __init__(self, use: str, bend: Bend) -> None:
        super().__init__()
        self.first, self.weight, self.use, self.bend = nn.Linear(6, 8), nn.Parameter(torch.randn(5, 8)), use, bend

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return USED[self.use](torch.relu(self.first(x)), self.bend(self.weight))


@pytest.mark.parametrize("use", USED)
@pytest.mark.parametrize("way", BENT)
def test_what_bends_a_weight_is_seen_on_either_side(use: str, way: str) -> None:
    for source, target in ((BENT[way], torch.clone), (torch.clone, BENT[way]), (BENT[way], BENT[way])):
        given, wanted = randomised(Net(use, source), 1), randomised(Net(use, target), 2)
        plan = apply_tli(wanted, given, example=EXAMPLE, options=Options(method="maps", head="keep"))
        assert promises(plan) is (source is target) is (distance(given, wanted, (EXAMPLE,)) < 1e-9)
