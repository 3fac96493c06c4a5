"""Networks that take a grey image as a vector or as rows, written after the code that starts them."""

from __future__ import annotations

import torch
from torch import nn

INPUT_SHAPE = (1, 8, 8)


class Added(nn.Module):
    """Two linear layers that are added to what they read, behind a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(self.norm(x))))


def added_mlp(classes: int = 10, width: int = 48, depth: int = 3) -> nn.Module:
    """Return a residual network of linear layers, as for tables (arXiv 2106.11959)."""
    blocks = [Added(width) for _ in range(depth)]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), *blocks, nn.LayerNorm(width), nn.Linear(width, classes))


def norm_mlp(classes: int = 10, width: int = 64, depth: int = 3) -> nn.Module:
    """Return linear layers with batch norms."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = 64
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


class Gru(nn.Module):
    """A GRU that reads an image row by row."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.rows = nn.GRU(8, width, depth, batch_first=True)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.rows(images[:, 0])[0].mean(1)))


def gru(classes: int = 10, width: int = 40, depth: int = 1) -> nn.Module:
    """Return a GRU over rows."""
    return Gru(classes, width, depth)
