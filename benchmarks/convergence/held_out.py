"""The convolutional networks of the reported half: other stems, stages, shortcuts and names."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.convergence.held_out_tokens import convnext_scaled, mixer_patch2, vit_cls
from benchmarks.convergence.nets import ACTIVATIONS

__all__ = ["convnext_scaled", "mbconv", "mixer_patch2", "plain", "regnet", "resnet_d", "vit_cls"]

STAGES = (1, 2, 4, 6)
"""Widths of the four stages, in units of the first."""


class ResNetDBlock(nn.Module):
    """A residual block whose shortcut pools before it projects."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: str, groups: int = 1, middle: int = 0) -> None:
        super().__init__()
        middle = middle or outputs
        self.conv1 = nn.Conv2d(inputs, middle, 1 if groups > 1 else 3, 1, 0 if groups > 1 else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, outputs, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act = ACTIVATIONS[act]()
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            project = [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
            self.downsample = nn.Sequential(*([nn.AvgPool2d(2)] if stride > 1 else []), *project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        return self.act(y + (x if self.downsample is None else self.downsample(x)))


class ResNetD(nn.Module):
    """A stem of two convolutions and four stages of blocks."""

    def __init__(self, classes: int, width: int, depth: int, act: str, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act = ACTIVATIONS[act]()
        inputs = width
        for index, factor in enumerate(STAGES):
            blocks = []
            for block in range(depth):
                stride = 2 if index in (1, 2) and block == 0 else 1
                blocks.append(ResNetDBlock(inputs, width * factor, stride, act, groups, width * factor))
                inputs = width * factor
            setattr(self, f"layer{index + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn2(self.conv2(self.act(self.bn1(self.conv1(images))))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def resnet_d(classes: int = 10, width: int = 10, depth: int = 1, act: str = "relu") -> nn.Module:
    """Return a ResNet-D of basic blocks."""
    return ResNetD(classes, width, depth, act, 1)


def regnet(classes: int = 10, width: int = 16, depth: int = 1, groups: int = 4, act: str = "relu") -> nn.Module:
    """Return the same with a pointwise and a grouped convolution in each block."""
    return ResNetD(classes, width, depth, act, groups)


class SqueezeExcite(nn.Module):
    """A gate for each channel."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.conv_expand(nn.functional.silu(self.conv_reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class MBConv(nn.Module):
    """An inverted residual block with a squeeze-and-excite gate."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int, act: str, expand: int = 4) -> None:
        super().__init__()
        hidden = inputs * expand
        self.conv_pw = nn.Conv2d(inputs, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv_dw = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.se = SqueezeExcite(hidden, max(4, inputs // 2))
        self.conv_pwl = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.act = ACTIVATIONS[act]()
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.bn3(self.conv_pwl(self.se(self.act(self.bn2(self.conv_dw(y))))))
        return x + y if self.adds else y


class EfficientNet(nn.Module):
    """A stem, four stages of MBConv and a pointwise head convolution."""

    def __init__(self, classes: int, width: int, depth: int, kernel: int, act: str) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = ACTIVATIONS[act]()
        stages, inputs = [], width
        for index, factor in enumerate((1, 2, 3, 4)):
            for block in range(depth + 1):
                stride = 2 if index in (1, 2) and block == 0 else 1
                stages.append(MBConv(inputs, width * factor, stride, kernel, act))
                inputs = width * factor
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(inputs, 2 * inputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * inputs)
        self.classifier = nn.Linear(2 * inputs, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.act(self.bn1(self.conv_stem(images))))
        return self.classifier(self.act(self.bn2(self.conv_head(x))).mean((2, 3)))


def mbconv(classes: int = 10, width: int = 10, depth: int = 1, kernel: int = 3, act: str = "silu") -> nn.Module:
    """Return a small EfficientNet."""
    return EfficientNet(classes, width, depth, kernel, act)


def plain(classes: int = 10, width: int = 10, act: str = "relu") -> nn.Module:
    """Return a VGG whose stages have one, two, two and one convolutions with biases."""
    layers: list[nn.Module] = []
    inputs = 3
    for index, (factor, count) in enumerate(zip(STAGES, (1, 2, 2, 1), strict=True)):
        layers += [nn.MaxPool2d(2)] if index in (1, 2) else []
        for _ in range(count):
            stride = 2 if inputs == 3 else 1
            layers += [nn.Conv2d(inputs, width * factor, 3, stride, 1), nn.BatchNorm2d(width * factor)]
            layers += [ACTIVATIONS[act]()]
            inputs = width * factor
    features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(features, nn.Linear(inputs, classes))
