"""Two networks of a user's own: a small one that is trained, and a wider, deeper one that it initialises."""

from __future__ import annotations

import torch
from torch import nn


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut: `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for `(n, 1, 8, 8)` images: a stem, three stages, a classifier."""

    def __init__(self, width: int, depth: int, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        widths = (width, 2 * width, 4 * width)
        stages, inputs = [], width
        for index, outputs in enumerate(widths):
            blocks = [Residual(inputs, outputs, 1 if index == 0 else 2)]
            blocks += [Residual(outputs, outputs) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, `(n, classes)`."""
        return self.head(self.stages(self.stem(x)).mean((2, 3)))


class SmallResNet(ResNet):
    """One block a stage, 12 to 48 channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(width=12, depth=1, classes=classes)


class WiderResNet(ResNet):
    """Twice the blocks of `SmallResNet` and 24 to 96 channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(width=24, depth=2, classes=classes)
