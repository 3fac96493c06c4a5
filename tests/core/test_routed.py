"""Experts of which code runs those alone that tokens go to: which are run depends on values, and names tell them."""

from __future__ import annotations

import torch
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import Options, apply_tli


class Expert(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.wi, self.wo = nn.Linear(8, width), nn.Linear(width, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wo(torch.relu(self.wi(x)))


class Routed(nn.Module):
    """One residual block, whose MLP is the expert that each token chooses; others are not run."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.router = nn.LayerNorm(8), nn.Linear(8, 4)
        self.experts = nn.ModuleList(Expert(width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm(x)
        chosen = self.router(normed).argmax(-1)
        made = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            if (chosen == i).any():
                made = made + expert(normed) * (chosen == i).unsqueeze(-1)
        return x + made


class Chain(nn.Module):
    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.first, self.blocks = nn.Linear(6, 8), nn.ModuleList(Routed(width) for _ in range(3))
        self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(self.norm(x))


def chain(seed: int, chosen: int, width: int = 12) -> nn.Module:
    """Return a chain in which all tokens go to one expert."""
    model = randomised(Chain(width), seed)
    with torch.no_grad():
        for block in model.blocks:
            block.router.bias[chosen] += 100.0
    return model


def test_experts_that_one_side_alone_runs_take_what_has_their_names() -> None:
    example = (torch.randn(4, 5, 6, dtype=torch.float64),)
    for width in (12, 20):
        given, wanted = chain(1, chosen=2), chain(2, chosen=0, width=width)
        plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
        experts = [step for step in plan.steps if ".experts." in step.target]
        assert all([piece.source for piece in step.pieces] == [step.target] for step in experts)
        assert distance(given, wanted, example) < 1e-9
