"""Two towers of one build in two widths: where the narrow one grows to the size of the wide one, names tell them."""

from __future__ import annotations

import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tests.models_tokens import Encoder
from tli_cli import Options, apply_tli

EXAMPLE = (torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64),)


class TwoWidths(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.few, self.many = (self._tower(size) for size in (width, 2 * width))
        self.end, self.ends = nn.Linear(width, 3), nn.Linear(2 * width, 3)

    @staticmethod
    def _tower(width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(6, width), *(Encoder(width, 2, width // 2, 2 * width, False, False) for _ in "ab")
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.few(x).mean(1)) + self.ends(self.many(x).mean(1))


def test_a_tower_that_has_now_the_size_of_the_other_is_fed_by_its_namesake() -> None:
    given, wanted = randomised(TwoWidths(8), 1), randomised(TwoWidths(16), 2)
    plan = apply_tli(wanted, given, example=EXAMPLE, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, EXAMPLE) < 1e-9
    fed = {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}
    assert all(source == target for target, source in fed.items())
