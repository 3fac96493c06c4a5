"""Blocks whose layers are kept in lists side by side grow as blocks: the function is kept, and the plan says so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli


def mlps(depth: int, width: int) -> nn.ModuleList:
    return nn.ModuleList(
        [nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(depth)]
    )


class Perceptron(nn.Module):
    """A residual perceptron whose norms stand in a list of their own, before or behind its layers."""

    def __init__(self, depth: int = 2, width: int = 8, behind: bool = False, rms: bool = False) -> None:
        super().__init__()
        norm = nn.RMSNorm if rms else nn.LayerNorm
        self.behind, self.stem, self.head = behind, nn.Linear(6, width), nn.Linear(width, 4)
        self.layers, self.norms = mlps(depth, width), nn.ModuleList([norm(width) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + (norm(layer(x)) if self.behind else layer(norm(x)))
        return self.head(x)


class Transformer(nn.Module):
    """Attentions, perceptrons and norms in four lists."""

    def __init__(self, depth: int = 2, width: int = 8) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(20, width), nn.LayerNorm(width), nn.Linear(width, 20)
        attentions = [nn.MultiheadAttention(width, 2, batch_first=True) for _ in range(depth)]
        self.attentions, self.mlps = nn.ModuleList(attentions), mlps(depth, width)
        self.first = nn.ModuleList([nn.LayerNorm(width) for _ in range(depth)])
        self.second = nn.ModuleList([nn.LayerNorm(width) for _ in range(depth)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for attention, mlp, first, second in zip(self.attentions, self.mlps, self.first, self.second, strict=True):
            y = first(x)
            x = x + attention(y, y, y, need_weights=False)[0]
            x = x + mlp(second(x))
        return self.head(self.norm(x))


class Convolutions(nn.Module):
    def __init__(self, depth: int = 2, width: int = 8) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, width, 3, padding=1), nn.Linear(width, 5)
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(width) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + torch.relu(norm(conv(x)))
        return self.head(x.mean((2, 3)))


VECTORS, IMAGES = torch.randn(3, 6, dtype=torch.float64), torch.randn(2, 3, 8, 8, dtype=torch.float64)
TOKENS = torch.randint(0, 20, (2, 7))
NETS = [
    (Perceptron, {}, VECTORS),
    (Perceptron, {"rms": True}, VECTORS),
    (Perceptron, {"behind": True}, VECTORS),
    (Transformer, {}, TOKENS),
    (Convolutions, {}, IMAGES),
]


@pytest.mark.parametrize("change", [{"depth": 3}, {"depth": 5}, {"width": 16}], ids=str)
@pytest.mark.parametrize(("make", "given", "example"), NETS, ids=["layer", "rms", "behind", "transformer", "conv"])
def test_growth_keeps_the_function(make, given, example, change):
    source, target = randomised(make(**given), 1), randomised(make(**given, **change), 2)
    plan = apply_tli(target, source, example=example)
    assert distance(source, target, (example,)) < 1e-9 and promises(plan)
