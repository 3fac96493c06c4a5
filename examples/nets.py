"""Networks of a user's own: a small one that is trained, and others that it initialises."""

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


class WideResNet(ResNet):
    """One block a stage, 24 to 96 channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(width=24, depth=1, classes=classes)


class DeepResNet(ResNet):
    """Three blocks a stage, 12 to 48 channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(width=12, depth=3, classes=classes)


class WiderResNet(ResNet):
    """Two blocks a stage, 24 to 96 channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(width=24, depth=2, classes=classes)


class Inverted(nn.Module):
    """Expand, convolve each channel by itself, project: `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, expansion: int = 3) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = nn.Sequential(nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6())
        depthwise = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(inner), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class MobileNet(nn.Module):
    """Inverted residuals for `(n, 1, 8, 8)` images: another family than the residual networks above."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        shapes = ((16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        self.blocks = nn.Sequential(*(Inverted(*shape) for shape in shapes))
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, `(n, classes)`."""
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))
