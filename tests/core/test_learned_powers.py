"""Powers that a parameter tells, as pools between the mean and the largest value have them, are traced."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tli_cli import apply_tli


class PowerPool(nn.Module):
    """The mean of powers, and its root: `(n, c, h, w)` to `(n, c)`; one power, or one for each channel."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.linspace(2, 4, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one value for each channel."""
        return x.clamp(min=1e-6).pow(self.p[:, None, None]).mean((2, 3)).pow(1 / self.p)


class MeanPool(nn.Module):
    """The plain mean over all places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one value for each channel."""
        return x.mean((2, 3))


def net(width: int, pool: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), pool, nn.Linear(width, 4)).double()


@pytest.mark.parametrize("each", [False, True])
def test_a_network_with_a_learned_power_grows_and_keeps_its_function(each: bool) -> None:
    source, x = net(6, PowerPool(6 if each else 1)), torch.randn(2, 3, 8, 8).double()
    target = net(12, PowerPool(12 if each else 1))
    plan = apply_tli(target, source, example=x)
    assert plan.relation == "wider" and all(step.exact for step in plan.steps)
    assert torch.allclose(target(x), source(x), rtol=1e-6)


def test_behind_another_pool_the_head_is_not_called_exact() -> None:
    plan = apply_tli(net(6, MeanPool()), net(6, PowerPool()), example=(1, 3, 8, 8))
    assert [step.target for step in plan.steps if not step.exact] == ["3.weight", "3.bias"]
