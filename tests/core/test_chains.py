"""Plain chains: which layers follow each other with nothing around them, and where a chain fills residual branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.models import SqueezeExcite
from tli_cli.matching import MATCHERS
from tli_cli.planning.starts.chains import is_serial
from tli_cli.planning.starts.filled_branches import chains_fill_branches
from tli_cli.providers.module import describe_live

Run = Callable[[torch.Tensor, nn.Module, nn.Module], torch.Tensor]


class Pair(nn.Module):
    """Two convolutions between others, run in a given way."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.run(self.stem(x), self.first, self.second))


RUNS: dict[str, tuple[Run, bool]] = {
    "chain": (lambda x, f, g: g(torch.relu(f(torch.relu(x)))), True),
    "around": (lambda x, f, g: x + g(torch.relu(f(x))), False),
    "around an activation too": (lambda x, f, g: x + g(torch.relu(f(torch.relu(x)))), False),
    "joined inside": (lambda x, f, g: g((y := f(x)) + torch.relu(y)), False),
    "joined behind": (lambda x, f, g: (y := g(f(x))) + torch.relu(y), True),
}


@pytest.mark.parametrize("kind", RUNS)
def test_layers_follow_each_other_where_nothing_is_joined_and_nothing_goes_around(kind):
    run, serial = RUNS[kind]
    architecture = describe_live(Pair(run), torch.zeros(1, 3, 8, 8))
    inner = {i for i, layer in enumerate(architecture.layers) if layer.path in ("first", "second")}
    assert len(inner) == 2 and is_serial(architecture, inner) == serial
    assert not is_serial(architecture, {len(architecture.layers)})
    assert is_serial(replace(architecture, graph=()), inner)


def branch(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    convs = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
    return [convs[0], nn.BatchNorm2d(outputs), nn.ReLU(), convs[1], nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, gated: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch(inputs, outputs, 2))
        self.gate = SqueezeExcite(outputs, 4) if gated else nn.Identity()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.gate(self.branch(x)) + self.shortcut(x))


def net(made: Callable[[int, int], nn.Module]) -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(stem, made(8, 16), made(16, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))


@pytest.mark.parametrize("gated", [False, True])
def test_a_chain_fills_blocks_that_are_one_branch_and_a_projection_and_no_others(gated):
    nets = net(lambda i, o: nn.Sequential(*branch(i, o, 2), nn.ReLU())), net(lambda i, o: Block(i, o, gated))
    source, target = (describe_live(one, torch.zeros(1, 3, 16, 16)) for one in nets)
    matching = MATCHERS.get("dp")(source, target)
    filled = chains_fill_branches(target, source, matching)
    assert (filled.pairs == matching.pairs) == gated
