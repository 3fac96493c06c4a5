"""Networks without blocks or residual sums: plain chains of layers, and recurrent ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli
from tli_cli.plan import Plan

IMAGES = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(0))


def chain(*widths: int, act: type[nn.Module] = nn.ReLU, norm: bool = True, pool: int = -1) -> nn.Module:
    layers: list[nn.Module] = []
    for i, (before, width) in enumerate(zip((3, *widths), widths, strict=False)):
        layers += [nn.Conv2d(before, width, 3, padding=1), *([nn.BatchNorm2d(width)] if norm else []), act()]
        layers += [nn.MaxPool2d(2)] if i == pool else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 5))


class Pairs(nn.Module):
    """Blocks of two convolutions and no shortcut."""

    def __init__(self, depth: int, width: int = 8) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleDict({"a": nn.Conv2d(width if i else 3, width, 3), "b": nn.Conv2d(width, width, 3, padding=1)})
            for i in range(depth)
        )
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            x = torch.relu(stage["b"](torch.relu(stage["a"](nn.functional.pad(x, (1, 1, 1, 1))))))
        return self.head(x.mean((2, 3)))


class Staged(nn.Module):
    """Three stages of `depth` convolutions, each a sequence within a sequence."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        for stage, (before, width) in enumerate([(3, 8), (8, 16), (16, 32)]):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if stage else []
            for i in range(depth):
                conv = nn.Conv2d(width if i else before, width, 3, padding=1)
                layers.append(nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU()))
            self.stages.append(nn.Sequential(*layers))
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(x).mean((2, 3)))


class Recurrent(nn.Module):
    """A table of tokens, recurrent layers, a head."""

    def __init__(self, cell: type[nn.RNNBase], width: int, layers: int = 1, both: bool = False) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, width), nn.Linear(width * (1 + both), 50)
        self.cells = cell(width, width, layers, batch_first=True, bidirectional=both)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(self.table(x))[0])


def grown(source: nn.Module, target: nn.Module, example: torch.Tensor) -> tuple[float, Plan]:
    source, target = randomised(source, 1).double().eval(), target.double().eval()
    plan = apply_tli(target, source, example=example)
    return distance(source, target, (example,)), plan


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("pool", [-1, 0])
def test_an_added_layer_passes_on_what_was_rectified(norm, pool):
    difference, plan = grown(chain(8, 8, norm=norm, pool=pool), chain(8, 8, 8, norm=norm, pool=pool), IMAGES)
    assert difference < (1e-4 if norm else 1e-12)
    assert promises(plan) and plan.relation == "deeper"


@pytest.mark.parametrize("depths", [(1, 2), (1, 3), (2, 3)])
def test_stages_of_a_plain_network_grow_layer_by_layer(depths):
    difference, plan = grown(*map(Staged, depths), IMAGES)
    assert difference < 1e-4 and promises(plan)


@pytest.mark.parametrize("act", [nn.GELU, nn.Tanh, nn.SiLU])
def test_an_activation_that_changes_its_own_values_is_not_called_exact(act):
    difference, plan = grown(chain(8, 8, act=act), chain(8, 8, 8, act=act), IMAGES)
    assert difference > 1e-3 and not promises(plan)


@pytest.mark.parametrize("width", [8, 12])
def test_added_blocks_of_two_layers_pass_on_what_was_rectified(width):
    difference, plan = grown(Pairs(2), Pairs(3, width), IMAGES)
    assert difference < 1e-12 and promises(plan)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("width", [16, 12])
def test_wider_recurrent_layers_keep_the_function(cell, both, width):
    difference, plan = grown(Recurrent(cell, 8, both=both), Recurrent(cell, width, both=both), TOKENS)
    assert difference < 1e-12 and promises(plan)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_an_added_recurrent_layer_is_not_called_exact(cell):
    difference, plan = grown(Recurrent(cell, 8), Recurrent(cell, 8, 2), TOKENS)
    assert difference > 1e-6 and not promises(plan) and plan.relation == "deeper"


def test_a_changed_activation_is_said():
    _, plan = grown(chain(8, 8), chain(8, 8, act=nn.GELU), IMAGES)
    assert plan.notes == ("activations differ: the source alone has relu, the target alone has gelu",)
    assert not grown(chain(8, 8), chain(8, 12), IMAGES)[1].notes
