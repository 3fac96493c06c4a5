"""Networks for grey images of eight by eight places, written after the code that starts them."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.convergence.later_tokens import Block

INPUT_SHAPE = (1, 8, 8)


def mlp(classes: int = 10, width: int = 64, depth: int = 3) -> nn.Module:
    """Return linear layers with ReLUs between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = 64
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def lenet(classes: int = 10, width: int = 12, hidden: int = 48) -> nn.Module:
    """Return two convolutions, each with a max-pool behind it, and two linear layers."""
    first = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(8 * width, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def cnn_bn(classes: int = 10, width: int = 16, depth: int = 2) -> nn.Module:
    """Return convolutions with batch norms, and a mean over places."""
    layers: list[nn.Module] = []
    inputs = 1
    for stage in range(2):
        for index in range(depth):
            layers.append(nn.Conv2d(inputs, width * 2**stage, 3, 2 if stage and not index else 1, 1, bias=False))
            inputs = width * 2**stage
            layers += [nn.BatchNorm2d(inputs), nn.ReLU()]
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Rows(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, width, depth, batch_first=True)
        self.out = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(images[:, 0])[0][:, -1])


def lstm(classes: int = 10, width: int = 40, depth: int = 1) -> nn.Module:
    """Return an LSTM over rows."""
    return Rows(classes, width, depth)


class Columns(nn.Module):
    """Convolutions along the columns of an image, whose rows are the channels."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(8, width, 3, padding=1)
        self.body = nn.Sequential(*(nn.Sequential(*self._unit(width)) for _ in range(depth)))
        self.out = nn.Linear(width, classes)

    @staticmethod
    def _unit(width: int) -> tuple[nn.Module, ...]:
        return nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.body(self.enter(images[:, 0]))).amax(-1))


def columns(classes: int = 10, width: int = 32, depth: int = 2) -> nn.Module:
    """Return a network of convolutions over one axis."""
    return Columns(classes, width, depth)


class ClassToken(nn.Module):
    """A ViT that is read from its class token."""

    def __init__(self, classes: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, 2, 2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        self.layers = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.layers(x))[:, 0])


def vit_token(classes: int = 10, width: int = 32, depth: int = 3, heads: int = 2) -> nn.Module:
    """Return a vision transformer for grey images."""
    return ClassToken(classes, width, depth, heads)
