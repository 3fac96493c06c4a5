"""Small networks of many families, each a function of its widths and depths."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn

from tests.models_tokens import TOKEN_NETS

CLASSES = 5


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Residual(nn.Module):
    """A basic block, or a bottleneck with grouped convolutions if `groups` > 0, whose groups are `per_group` wide."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int, groups: int, per_group: int) -> None:
        super().__init__()
        inner = groups * per_group if groups else outputs
        self.conv1 = conv(inputs, inner, 1 if groups else kernel, 1 if groups else stride)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv(inner, inner, kernel, stride if groups else 1, max(groups, 1))
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, outputs, 1) if groups else None
        self.bn3 = nn.BatchNorm2d(outputs) if groups else None
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.conv3 is not None and self.bn3 is not None:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(
        self,
        width: int = 8,
        depth: int = 2,
        kernel: int = 3,
        groups: int = 0,
        per_group: int = 2,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, width), nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, 1, depth, kernel, groups, per_group)
        self.layer2 = self._stage(width, 2 * width, 2, depth, kernel, groups, per_group)
        self.fc = nn.Linear(2 * width, classes)

    @staticmethod
    def _stage(inputs: int, outputs: int, stride: int, depth: int, *rest: int) -> nn.Sequential:
        blocks = [Residual(inputs, outputs, stride, *rest)]
        return nn.Sequential(*blocks, *(Residual(outputs, outputs, 1, *rest) for _ in range(depth - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


def vgg(width: int = 6, depth: int = 2, kernel: int = 3, hidden: int = 12, classes: int = CLASSES) -> nn.Module:
    """Plain stages with pooling, and a flattened map before the classifier's two layers."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in (width, 2 * width):
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    head = [nn.Flatten(), nn.Linear(2 * width * 16, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(nn.Sequential(*layers), nn.Sequential(*head))


class SqueezeExcite(nn.Module):
    def __init__(self, width: int, reduced: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, reduced, 1), nn.Conv2d(reduced, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    """An inverted residual: expand, depthwise, squeeze and excite, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int, ratio: int) -> None:
        super().__init__()
        inner = inputs * ratio
        self.expand, self.bn1 = conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.depthwise, self.bn2 = conv(inner, inner, kernel, stride, inner), nn.BatchNorm2d(inner)
        self.se = SqueezeExcite(inner, max(inner // 4, 1))
        self.project, self.bn3 = conv(inner, outputs, 1), nn.BatchNorm2d(outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.hardswish(self.bn1(self.expand(x)))
        y = self.bn3(self.project(self.se(functional.hardswish(self.bn2(self.depthwise(y))))))
        return x + y if self.skips else y


class MobileNet(nn.Module):
    def __init__(self, width: int = 8, depth: int = 2, kernel: int = 3, ratio: int = 2, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem, self.bn = conv(3, width), nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        inputs = width
        for outputs, stride in ((width, 1), (2 * width, 2)):
            for index in range(depth):
                blocks.append(Inverted(inputs, outputs, stride if index == 0 else 1, kernel, ratio))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(functional.hardswish(self.bn(self.stem(x)))).mean((2, 3)))


class Dense(nn.Module):
    """Concatenation: each layer sees all maps before it."""

    def __init__(self, width: int = 8, depth: int = 3, growth: int = 4, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = conv(3, width)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width + i * growth) for i in range(depth))
        self.convs = nn.ModuleList(conv(width + i * growth, growth) for i in range(depth))
        self.norm = nn.BatchNorm2d(width + depth * growth)
        self.head = nn.Linear(width + depth * growth, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.stem(x)
        for norm, layer in zip(self.norms, self.convs, strict=True):
            maps = torch.cat([maps, layer(torch.relu(norm(maps)))], 1)
        return self.head(torch.relu(self.norm(maps)).mean((2, 3)))


class Standardised(nn.Conv2d):
    """A convolution whose filters are standardised each time (arXiv 1903.10520)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        deviation = self.weight.std((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (deviation + 1e-12)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class GroupNormNet(nn.Module):
    """Residual blocks with group norm, plain or standardised convolutions."""

    def __init__(
        self, width: int = 8, depth: int = 2, groups: int = 2, standardised: bool = False, classes: int = CLASSES
    ) -> None:
        super().__init__()
        make = Standardised if standardised else nn.Conv2d
        self.stem = make(3, width, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width, eps=1e-14) for _ in range(depth))
        self.convs = nn.ModuleList(make(width, width, 3, padding=1) for _ in range(depth))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for norm, layer in zip(self.norms, self.convs, strict=True):
            x = x + layer(torch.relu(norm(x)))
        return self.head(x.mean((2, 3)))


class Shuffle(nn.Module):
    """Grouped convolutions with their channels shuffled between."""

    def __init__(self, width: int = 8, groups: int = 2, classes: int = CLASSES) -> None:
        super().__init__()
        self.groups = groups
        self.stem = conv(3, width)
        self.first, self.bn1 = conv(width, width, 1, groups=groups), nn.BatchNorm2d(width)
        self.second, self.bn2 = conv(width, width, 1, groups=groups), nn.BatchNorm2d(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.first(self.stem(x))))
        n, c, h, w = x.shape
        x = x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(torch.relu(self.bn2(self.second(x))).mean((2, 3)))


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int, kernel: int, ratio: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-14)
        self.fc1, self.fc2 = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.fc2(functional.gelu(self.fc1(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, width: int = 8, depth: int = 2, kernel: int = 5, ratio: int = 2, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 2, 2)
        self.stage1 = nn.Sequential(*(ConvNeXtBlock(width, kernel, ratio) for _ in range(depth)))
        self.down = nn.Conv2d(width, 2 * width, 2, 2)
        self.stage2 = nn.Sequential(*(ConvNeXtBlock(2 * width, kernel, ratio) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(2 * width, eps=1e-14), nn.Linear(2 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.stage2(self.down(self.stage1(self.stem(x)))).mean((2, 3))))


def resnext(groups: int = 2, per_group: int = 4, **rest: int) -> nn.Module:
    """Bottlenecks with grouped convolutions."""
    return ResNet(groups=groups, per_group=per_group, **rest)


CONV_NETS = {"resnet": ResNet, "resnext": resnext, "vgg": vgg, "mobilenet": MobileNet, "dense": Dense,
             "convnext": ConvNeXt, "group_norm": GroupNormNet, "shuffle": Shuffle}  # fmt: skip
NETS = {**CONV_NETS, **TOKEN_NETS}
"""Every family by name."""


def images(batch: int = 2, size: int = 16) -> torch.Tensor:
    """Return random images `(batch, 3, size, size)` in float64."""
    return torch.randn(batch, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def example_for(name: str) -> tuple[torch.Tensor, ...]:
    """Return what the family called `name` is run on."""
    if name in ("decoder", "rotary"):
        return (torch.randint(0, 17, (2, 6), generator=torch.Generator().manual_seed(3)),)
    return (images(),)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Return `model` in float64 and evaluation mode with values as after training, from `seed`: no zeros, no ones."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            draw = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.copy_(0.5 + draw.abs())
            elif tensor.ndim > 1:
                tensor.copy_(draw / max(tensor[0].numel(), 1) ** 0.5)
            else:
                tensor.copy_(0.2 * draw + (1.0 if name.endswith(("weight", "gamma")) else 0.0))
    return model
