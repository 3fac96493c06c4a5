"""Networks written after the code that starts them: paths side by side, gates, convolutional tokens, double layers."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.convergence.later_tokens import Block


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution with its batch norm and a ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Paths(nn.Module):
    """Four paths side by side, laid end to end, as in Inception (arXiv 1409.4842)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.one = unit(inputs, width, 1)
        self.three = nn.Sequential(unit(inputs, width, 1), unit(width, width, 3))
        self.five = nn.Sequential(unit(inputs, width, 1), unit(width, width, 3), unit(width, width, 3))
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(inputs, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1)


def inception(classes: int = 10, width: int = 8, depth: int = 1) -> nn.Module:
    """Return three stages of `depth` blocks of four paths."""
    layers: list[nn.Module] = [unit(3, 2 * width, 3, 2)]
    inputs = 2 * width
    for stage in range(3):
        layers += [nn.MaxPool2d(2)] if stage else []
        for _ in range(depth):
            layers.append(Paths(inputs, width * (1 + stage)))
            inputs = 4 * width * (1 + stage)
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class GatedBlock(nn.Module):
    """A residual block whose branch is weighed channel by channel (arXiv 1709.01507)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.enter = unit(inputs, outputs, 3, stride)
        self.leave = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.squeeze, self.excite = nn.Linear(outputs, outputs // 4), nn.Linear(outputs // 4, outputs)
        changed = stride > 1 or inputs != outputs
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if changed else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.leave(self.enter(x)))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        return torch.relu(self.short(x) + y * gate[:, :, None, None])


def gated_resnet(classes: int = 10, width: int = 12, depth: int = 2) -> nn.Module:
    """Return a residual network of three stages with gates."""
    layers: list[nn.Module] = [unit(3, width, 3), nn.MaxPool2d(2)]
    inputs = width
    for stage in range(3):
        for index in range(depth):
            layers.append(GatedBlock(inputs, width * 2**stage, 2 if stage and not index else 1))
            inputs = width * 2**stage
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def doubles(classes: int = 10, width: int = 10) -> nn.Module:
    """Return the contracting half of a U-Net (arXiv 1505.04597): two convolutions, a pool, and so on."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage in range(4):
        layers += [nn.MaxPool2d(2)] if stage else []
        layers += [unit(inputs, width * (1 + stage), 3), unit(width * (1 + stage), width * (1 + stage), 3)]
        inputs = width * (1 + stage)
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Compact(nn.Module):
    """Convolutions that make tokens, a transformer, and a weighted mean of the tokens (arXiv 2104.05704)."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        first = (nn.Conv2d(3, width // 2, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2))
        self.tokens = nn.Sequential(*first, nn.Conv2d(width // 2, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.where = nn.Parameter(torch.randn(1, 16, width) * 0.1)
        self.blocks = nn.Sequential(*(Block(width, 4) for _ in range(depth)))
        self.norm, self.weigh, self.head = nn.LayerNorm(width), nn.Linear(width, 1), nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.blocks(self.tokens(images).flatten(2).transpose(1, 2) + self.where))
        return self.head((torch.softmax(self.weigh(x), 1).transpose(1, 2) @ x)[:, 0])


def compact(classes: int = 10, width: int = 40, depth: int = 3) -> nn.Module:
    """Return a compact convolutional transformer."""
    return Compact(classes, width, depth)
