"""Blocks side by side, of which one network has more, and parts of a concatenation that no layer makes."""

from __future__ import annotations

import torch
from torch import nn

from tests.models import randomised
from tli_cli import Options, Plan, apply_tli

MAPS = Options(method="maps")


class Tasks(nn.Module):
    """Experts that all tasks share, and for each task a gate that weighs them and a tower (MMoE)."""

    def __init__(self, tasks: int = 2, experts: int = 3, width: int = 8) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, width), nn.ReLU()) for _ in range(experts))
        self.gates = nn.ModuleList(nn.Linear(6, experts, bias=False) for _ in range(tasks))
        towers = (nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)) for _ in range(tasks))
        self.towers = nn.ModuleList(towers)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        made = torch.stack([expert(x) for expert in self.experts], 1)
        weighed = ((gate(x).softmax(-1)[..., None] * made).sum(1) for gate in self.gates)
        return [tower(found) for tower, found in zip(self.towers, weighed, strict=True)]


class Waves(nn.Module):
    """Reads places and their waves of several frequencies, once more behind the first layer."""

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.frequencies, size = frequencies, 2 + 4 * frequencies
        self.first, self.second, self.out = nn.Linear(size, 8), nn.Linear(size + 8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        waves = [wave(x * 2**k) for k in range(self.frequencies) for wave in (torch.sin, torch.cos)]
        x = torch.cat([x, *waves], -1)
        return self.out(self.second(torch.cat([x, self.first(x).relu()], -1)).relu())


def taught(source: nn.Module, target: nn.Module, example: torch.Tensor) -> tuple[Plan, list[torch.Tensor]]:
    """Return the plan, and what both networks give, by turns."""
    randomised(source, 1), randomised(target, 2)
    plan = apply_tli(target, source, example=(example,), options=MAPS)
    with torch.no_grad():
        return plan, [target(example), source(example)]


def test_a_task_more_leaves_the_others_as_they_are() -> None:
    for width in (8, 16):
        plan, (found, wanted) = taught(Tasks(), Tasks(3, width=width), torch.randn(4, 6, dtype=torch.float64))
        for own, other in zip(found, wanted, strict=False):
            assert torch.allclose(own, other, atol=1e-12)
        assert not plan.unused


def test_more_experts_are_weighed_against_those_that_there_are() -> None:
    source, target = Tasks(), Tasks(experts=5)
    plan, _ = taught(source, target, torch.randn(4, 6, dtype=torch.float64))
    for task in ("gates.0.weight", "gates.1.weight"):
        assert not plan.by_target[task].exact
        assert torch.equal(target.state_dict()[task][:3], source.state_dict()[task])


def test_waves_of_higher_frequencies_are_read_with_zero_weight() -> None:
    _, (found, wanted) = taught(Waves(3), Waves(5), torch.randn(4, 2, dtype=torch.float64))
    assert torch.allclose(found, wanted, atol=1e-12)
