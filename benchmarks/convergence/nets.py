"""The networks of the tuned half, by family: every argument is a number or a word."""

from __future__ import annotations

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish}


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Classifier(nn.Module):
    """A stem, stages, a global mean and a head."""

    def __init__(self, stem: nn.Module, stages: list[nn.Module], width: int, classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(images)).mean((2, 3)))


def vgg(classes: int = 10, width: int = 16, depth: int = 2, kernel: int = 3, act: str = "relu") -> nn.Module:
    """Return plain convolutions: three stages of `depth` layers, a max-pool between them."""
    stages, inputs = [], width
    for stage in range(3):
        outputs = width * 2**stage
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if stage else []
        for _ in range(depth):
            layers += [conv_norm(inputs, outputs, kernel), ACTIVATIONS[act]()]
            inputs = outputs
        stages.append(nn.Sequential(*layers))
    return Classifier(nn.Sequential(conv_norm(3, width, 3, 2), ACTIVATIONS[act]()), stages, inputs, classes)


class Residual(nn.Module):
    """Layers around which the input is added, by a projection where the shape changes."""

    def __init__(self, body: nn.Sequential, inputs: int, outputs: int, stride: int, act: str) -> None:
        super().__init__()
        self.body = body
        changed = stride > 1 or inputs != outputs
        self.shortcut = conv_norm(inputs, outputs, 1, stride) if changed else nn.Identity()
        self.act = ACTIVATIONS[act]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.body(x) + self.shortcut(x))


def basic(inputs: int, outputs: int, stride: int, kernel: int, act: str) -> Residual:
    first, second = conv_norm(inputs, outputs, kernel, stride), conv_norm(outputs, outputs, kernel)
    return Residual(nn.Sequential(first, ACTIVATIONS[act](), second), inputs, outputs, stride, act)


def bottleneck(inputs: int, outputs: int, stride: int, kernel: int, act: str) -> Residual:
    narrow = outputs // 2
    layers = [conv_norm(inputs, narrow, 1), conv_norm(narrow, narrow, kernel, stride), conv_norm(narrow, outputs, 1)]
    body = nn.Sequential(layers[0], ACTIVATIONS[act](), layers[1], ACTIVATIONS[act](), layers[2])
    return Residual(body, inputs, outputs, stride, act)


def resnet(
    classes: int = 10, width: int = 16, depth: int = 2, kernel: int = 3, act: str = "relu", block: str = "basic"
) -> nn.Module:
    """Return three stages of `depth` residual blocks, `basic` or `bottleneck`."""
    make = {"basic": basic, "bottleneck": bottleneck}[block]
    stages, inputs = [], width
    for stage in range(3):
        outputs = width * 2**stage
        strides = [2 if stage else 1] + [1] * (depth - 1)
        blocks = []
        for stride in strides:
            blocks.append(make(inputs, outputs, stride, kernel, act))
            inputs = outputs
        stages.append(nn.Sequential(*blocks))
    return Classifier(nn.Sequential(conv_norm(3, width, 3, 2), ACTIVATIONS[act]()), stages, inputs, classes)


class Inverted(nn.Module):
    """An inverted residual block: expand, depthwise, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int, kernel: int, act: str) -> None:
        super().__init__()
        hidden = inputs * expand
        self.expand = nn.Sequential(conv_norm(inputs, hidden, 1), ACTIVATIONS[act]())
        self.depthwise = nn.Sequential(conv_norm(hidden, hidden, kernel, stride, hidden), ACTIVATIONS[act]())
        self.project = conv_norm(hidden, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


def mobilenet(
    classes: int = 10, width: int = 12, depth: int = 2, expand: int = 3, kernel: int = 3, act: str = "relu6"
) -> nn.Module:
    """Return three stages of `depth` inverted residual blocks."""
    stages, inputs = [], width
    for stage in range(3):
        outputs = width * 2**stage
        strides = [2 if stage else 1] + [1] * (depth - 1)
        blocks = []
        for stride in strides:
            blocks.append(Inverted(inputs, outputs, stride, expand, kernel, act))
            inputs = outputs
        stages.append(nn.Sequential(*blocks))
    return Classifier(nn.Sequential(conv_norm(3, width, 3, 2), ACTIVATIONS[act]()), stages, inputs, classes)
