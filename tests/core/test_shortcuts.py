"""A plain source goes once, in order, into the branches of a residual target; the shortcuts add nothing at first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli
from tli_cli.options import Options

IMAGES = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def branch(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
    return [first, nn.BatchNorm2d(outputs), nn.ReLU(), second, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, norm: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch(inputs, outputs, stride))
        project = nn.Conv2d(inputs, outputs, 1, stride, bias=not norm)
        changed = stride > 1 or inputs != outputs
        self.shortcut = nn.Sequential(project, *([nn.BatchNorm2d(outputs)] if norm else [])) if changed else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(x) + (self.shortcut(x) if self.shortcut is not None else x))


def net(depth: int, width: int, norm: bool = True) -> nn.Module:
    """Return three stages: plain ones for a depth of 0, else `depth` residual blocks."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    stages: list[nn.Module] = [nn.Sequential(*layers)]
    for stage in range(3):
        inputs, outputs = width * 2**stage, width * 2 ** (stage + 1)
        blocks = [Residual(outputs if i else inputs, outputs, 1 if i else 2, norm) for i in range(depth)]
        stages.append(nn.Sequential(*(blocks or [*branch(inputs, outputs, 2), nn.ReLU()])))
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, 5))


@pytest.mark.parametrize(("depth", "width", "norm"), [(1, 8, True), (2, 8, True), (2, 8, False), (3, 16, True)])
def test_a_plain_network_keeps_its_function_in_residual_blocks_with_projections(depth, width, norm):
    source = randomised(net(0, 8), 1).double().eval()
    target = randomised(net(depth, width, norm), 2).double().eval()
    plan = apply_tli(target, source, example=IMAGES, options=Options(method="net2net"))
    assert plan.relation == "other"
    assert distance(source, target, (IMAGES,)) < 1e-12
    assert all(step.exact for step in plan.steps if step.action == "transfer")


class Scaled(nn.Module):
    """A block whose shortcut is scaled, in front of what is added to it or behind."""

    def __init__(self, width: int, behind: bool) -> None:
        super().__init__()
        self.norm, self.mixer = nn.LayerNorm(width), nn.Linear(width, width)
        self.scale, self.behind = nn.Parameter(torch.ones(width)), behind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch, kept = self.mixer(self.norm(x)), self.scale * x
        return branch + kept if self.behind else kept + branch


@pytest.mark.parametrize("behind", [False, True])
def test_a_scale_around_an_added_block_starts_as_ones(behind: bool) -> None:
    source, target = (
        randomised(nn.Sequential(nn.Linear(6, 8), *(Scaled(8, behind) for _ in range(depth)), nn.Linear(8, 3)), depth)
        for depth in (2, 3)
    )
    x = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plan = apply_tli(target, source, example=x)
    assert promises(plan)
    assert distance(source, target, (x,)) == 0
