"""Convolutional networks written after the code that starts them: no network here was known when it was made."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.convergence.nets import ACTIVATIONS


def vgg_flat(classes: int = 10, width: int = 12, depth: int = 1, act: str = "relu") -> nn.Module:
    """Return a VGG without norms, whose last map is flattened before two linear layers."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage in range(3):
        for _ in range(1 + depth if stage else 1):
            layers += [nn.Conv2d(inputs, width * 2**stage, 3, padding=1), ACTIVATIONS[act]()]
            inputs = width * 2**stage
        layers.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(nn.Linear(inputs * 4, 48), ACTIVATIONS[act](), nn.Linear(48, classes))
    return nn.Sequential(nn.Sequential(*layers), nn.Flatten(), classifier)


class GroupBlock(nn.Module):
    """A residual block with group norms."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.n1 = nn.GroupNorm(4, outputs)
        self.c2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.n2 = nn.GroupNorm(4, outputs)
        self.side = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.side(x) + self.n2(self.c2(torch.relu(self.n1(self.c1(x))))))


def resnet_gn(classes: int = 10, width: int = 12, depth: int = 1) -> nn.Module:
    """Return a residual network with group norms."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.GroupNorm(4, width), nn.ReLU()]
    inputs = width
    for stage in range(3):
        for index in range(depth):
            layers.append(GroupBlock(inputs, width * 2**stage, 2 if stage and not index else 1))
            inputs = width * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class DenseUnit(nn.Module):
    """Channels that are laid beside those that came in."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.conv(torch.relu(self.norm(x)))], 1)


def densenet(classes: int = 10, growth: int = 8, depth: int = 3) -> nn.Module:
    """Return a DenseNet of three blocks."""
    layers: list[nn.Module] = [nn.Conv2d(3, 2 * growth, 3, 2, 1, bias=False)]
    inputs = 2 * growth
    for stage in range(3):
        layers += [DenseUnit(inputs + index * growth, growth) for index in range(depth)]
        inputs += depth * growth
        if stage < 2:
            layers += [
                nn.BatchNorm2d(inputs),
                nn.ReLU(),
                nn.Conv2d(inputs, inputs // 2, 1, bias=False),
                nn.AvgPool2d(2),
            ]
            inputs //= 2
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Sequential(*layers), nn.Linear(inputs, classes))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, max(width // 4, 4), 1), nn.Conv2d(max(width // 4, 4), width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(gate)


class MobileBlock(nn.Module):
    """An inverted residual block of MobileNet v3, as one list of layers."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = inputs * 3
        self.layers = nn.Sequential(
            *(nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish()),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            *(nn.BatchNorm2d(hidden), nn.Hardswish(), Gate(hidden)),
            *(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def mobile_v3(classes: int = 10, width: int = 10, depth: int = 2, kernel: int = 3) -> nn.Module:
    """Return a small MobileNet v3."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish()]
    inputs = width
    for stage in range(3):
        for index in range(depth):
            layers.append(MobileBlock(inputs, width * (1 + stage), 2 if stage and not index else 1, kernel))
            inputs = width * (1 + stage)
    last = [nn.Conv2d(inputs, 64, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Sequential(*layers), nn.Sequential(*last), nn.Linear(64, classes))


def mobile_v1(classes: int = 10, width: int = 12, depth: int = 2) -> nn.Module:
    """Return depthwise and pointwise convolutions in turn, without residual sums."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
    inputs = width
    for stage in range(3):
        for index in range(depth):
            outputs, stride = width * 2**stage, 2 if stage and not index else 1
            layers += [nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs)]
            layers += [nn.ReLU6(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6()]
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class ShuffleUnit(nn.Module):
    """A unit of ShuffleNet v2: half of the channels pass, then both halves are shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(
            *(nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()),
            *(nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False), nn.BatchNorm2d(half)),
            *(nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, changed = x.chunk(2, 1)
        return torch.stack([kept, self.branch(changed)], 2).flatten(1, 2)


def shuffle(classes: int = 10, width: int = 24, depth: int = 2) -> nn.Module:
    """Return a small ShuffleNet v2, with plain convolutions between its stages."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage in range(3):
        outputs = width * (1 + stage)
        layers += [nn.Conv2d(inputs, outputs, 3, 2 if stage < 2 else 1, 1, bias=False), nn.BatchNorm2d(outputs)]
        layers += [nn.ReLU(), *(ShuffleUnit(outputs) for _ in range(depth))]
        inputs = outputs
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Around(nn.Module):
    """Layers whose input is added to what they give."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.fn = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fn(x)


def convmixer(classes: int = 10, width: int = 32, depth: int = 4, kernel: int = 5) -> nn.Module:
    """Return a ConvMixer (arXiv 2201.09792)."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 2, 2), nn.GELU(), nn.BatchNorm2d(width)]
    for _ in range(depth):
        mixing = nn.Conv2d(width, width, kernel, groups=width, padding=kernel // 2)
        layers += [Around(mixing, nn.GELU(), nn.BatchNorm2d(width)), nn.Conv2d(width, width, 1)]
        layers += [nn.GELU(), nn.BatchNorm2d(width)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
