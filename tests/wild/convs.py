"""Convolutional networks drawn from kinds of blocks, norms, gates, shortcuts and heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

from tests.wild.parts import EPS, Gate, activation, norm_over_channels, reparametrised

Design = Mapping[str, Any]


class Unit(nn.Module):
    """A convolution, its norm and its activation."""

    def __init__(
        self, d: Design, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        bias = d["norm"] == "none" or d["biased"]
        layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.conv = reparametrised(d["reparametrised"], layer)
        self.norm = norm_over_channels(d["norm"], outputs, 2, d["norm_groups"])
        self.act = activation(d["act"], outputs) if act else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))


def shortcut(d: Design, inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if d["shortcut"] == "pool" and stride > 1:
        return nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1, bias=False))
    return Unit(d, inputs, outputs, 1, stride, act=False)


class Plain(nn.Module):
    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.unit = Unit(d, inputs, outputs, d["kernel"], stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unit(x)


class Basic(nn.Module):
    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.short = shortcut(d, inputs, outputs, stride)
        self.a = Unit(d, inputs, outputs, d["kernel"], stride)
        self.b = Unit(d, outputs, outputs, d["kernel"], act=False)
        self.gate = Gate(d["gate"], outputs, max(outputs // 4, 2))
        self.act = activation(d["act"], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.gate(self.b(self.a(x))) + self.short(x))


class PreActivated(nn.Module):
    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.n1, self.n2 = (norm_over_channels(d["norm"], w, 2, d["norm_groups"]) for w in (inputs, outputs))
        self.c1 = nn.Conv2d(inputs, outputs, d["kernel"], stride, d["kernel"] // 2, bias=False)
        self.c2 = nn.Conv2d(outputs, outputs, d["kernel"], 1, d["kernel"] // 2, bias=d["biased"])
        self.project = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None
        self.act1, self.act2 = activation(d["act"], inputs), activation(d["act"], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act1(self.n1(x))
        short = x.clone() if self.project is None else self.project(y)
        return self.c2(self.act2(self.n2(self.c1(y)))) + short


class Bottleneck(nn.Module):
    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = d["groups"] * d["per_group"]
        self.down = Unit(d, inputs, inner, 1)
        self.mid = Unit(d, inner, inner, d["kernel"], stride, d["groups"])
        self.up = Unit(d, inner, outputs, 1, act=False)
        self.gate = Gate(d["gate"], outputs, max(outputs // 4, 2))
        self.short = shortcut(d, inputs, outputs, stride)
        self.act = activation(d["act"], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.gate(self.up(self.mid(self.down(x)))) + self.short(x))


class Inverted(nn.Module):
    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = inputs * d["ratio"]
        self.layers = nn.Sequential(
            Unit(d, inputs, inner, 1),
            Unit(d, inner, inner, d["kernel"], stride, inner),
            Gate(d["gate"], inner, max(inner // 4, 2)),
            Unit(d, inner, outputs, 1, act=False),
        )
        self.use_res = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.use_res else self.layers(x)


class Separable(nn.Module):
    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.dw = Unit(d, inputs, inputs, d["kernel"], stride, inputs)
        self.pw = Unit(d, inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pw(self.dw(x))


class Inception(nn.Module):
    """Four branches that are concatenated; `growth` channels of each but the last."""

    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        part = outputs // 4
        self.branch1x1 = Unit(d, inputs, part, 1, stride)
        self.branch3 = nn.Sequential(Unit(d, inputs, part, 1), Unit(d, part, part, d["kernel"], stride))
        self.branch5 = nn.Sequential(Unit(d, inputs, part, 1), Unit(d, part, part, 3), Unit(d, part, part, 3, stride))
        self.branch_pool = Unit(d, inputs, outputs - 3 * part, 1)
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.branch_pool(functional.avg_pool2d(x, 3, self.stride, 1))
        return torch.cat((self.branch1x1(x), self.branch3(x), self.branch5(x), pooled), dim=1)


class DenseBlock(nn.Module):
    """`ratio` layers that each add `growth` channels, and a transition to the width."""

    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        counts = [inputs + i * d["growth"] for i in range(d["ratio"] + 1)]
        self.norms = nn.ModuleList([norm_over_channels(d["norm"], c, 2, d["norm_groups"]) for c in counts[:-1]])
        self.convs = nn.ModuleList([nn.Conv2d(c, d["growth"], 3, padding=1, bias=False) for c in counts[:-1]])
        self.act = activation("relu" if d["act"] == "prelus" else d["act"], 1)
        self.transition = nn.Conv2d(counts[-1], outputs, 1)
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(self.act(norm(torch.cat(features, 1)))))
        x = self.transition(torch.cat(features, 1))
        return functional.avg_pool2d(x, self.stride) if self.stride > 1 else x


class ConvNeXt(nn.Module):
    """Depthwise convolution, norm over the channels, two linear maps, a scale for each channel."""

    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, stride, stride) if stride > 1 or inputs != outputs else nn.Identity()
        self.dw = nn.Conv2d(outputs, outputs, d["kernel"], padding=d["kernel"] // 2, groups=outputs)
        self.norm = nn.LayerNorm(outputs, eps=EPS)
        self.fc1 = nn.Linear(outputs, d["ratio"] * outputs)
        self.fc2 = nn.Linear(d["ratio"] * outputs, outputs)
        self.gamma = nn.Parameter(0.5 * torch.ones(outputs)) if d["scaled"] else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.reduce(x)
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        y = self.fc2(functional.gelu(self.fc1(y)))
        y = y if self.gamma is None else self.gamma * y
        return x + y.permute(0, 3, 1, 2)


class CrossStage(nn.Module):
    """Half of the channels pass a residual branch, the other half pass by (CSP, ShuffleNet)."""

    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.entry = Unit(d, inputs, outputs, 3, stride)
        self.m = nn.Sequential(Unit(d, half, half, 1), Unit(d, half, half, d["kernel"]))
        self.exit = Unit(d, outputs, outputs, 1)
        self.shuffled = d["shuffled"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.entry(x).chunk(2, 1)
        x = torch.cat([a, b + self.m(b)], 1)
        if self.shuffled:
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.exit(x)


class Branches(nn.Module):
    """Convolutions of several kernels that are added up (RepVGG), with a norm of the input itself."""

    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.big, self.small = (Unit(d, inputs, outputs, k, stride, act=False) for k in (d["kernel"], 1))
        passes = stride == 1 and inputs == outputs
        self.same = norm_over_channels(d["norm"], inputs, 2, d["norm_groups"]) if passes else None
        self.act = activation(d["act"], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.big(x) + self.small(x)
        return self.act(y if self.same is None else y + self.same(x))


class SelectiveKernel(nn.Module):
    """Two convolutions weighed against each other by a softmax over them, channel by channel."""

    def __init__(self, d: Design, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(Unit(d, inputs, outputs, k, stride) for k in (3, d["kernel"]))
        self.squeeze = nn.Linear(outputs, max(outputs // 2, 2))
        self.select = nn.ModuleList(nn.Linear(max(outputs // 2, 2), outputs) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        feats = torch.stack([path(x) for path in self.paths], 1)
        z = functional.relu(self.squeeze(feats.sum(1).mean((-1, -2))))
        weights = torch.stack([fc(z) for fc in self.select], 1).softmax(1)
        return (feats * weights[..., None, None]).sum(1)


BLOCKS: dict[str, type[nn.Module]] = {
    "plain": Plain,
    "basic": Basic,
    "preactivated": PreActivated,
    "bottleneck": Bottleneck,
    "inverted": Inverted,
    "separable": Separable,
    "inception": Inception,
    "dense": DenseBlock,
    "convnext": ConvNeXt,
    "cross_stage": CrossStage,
    "branches": Branches,
    "selective": SelectiveKernel,
}


class Head(nn.Module):
    def __init__(self, d: Design, width: int) -> None:
        super().__init__()
        self.kind = d["head"]
        if self.kind == "flat":
            self.fc1, self.fc2 = nn.Linear(width * 16, d["hidden"]), nn.Linear(d["hidden"], d["classes"])
        elif self.kind == "conv":
            self.classifier = nn.Conv2d(width, d["classes"], 1)
        elif self.kind == "mlp":
            self.pre = nn.Linear(width, d["hidden"])
            self.norm = nn.BatchNorm1d(d["hidden"], eps=EPS)
            self.out = nn.Linear(d["hidden"], d["classes"])
        elif self.kind == "two":
            self.label, self.box = nn.Linear(width, d["classes"]), nn.Linear(width, 4)
        elif self.kind == "both":
            self.fc = nn.Linear(2 * width, d["classes"])
        else:
            self.fc = nn.Linear(width, d["classes"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "flat":
            x = functional.adaptive_avg_pool2d(x, 4).flatten(1)
            return self.fc2(functional.relu(self.fc1(x)))
        if self.kind == "conv":
            return self.classifier(x).mean((2, 3))
        if self.kind == "both":
            return self.fc(torch.cat([x.amax((2, 3)), x.mean((2, 3))], -1))
        x = functional.adaptive_avg_pool2d(x, 1).view(x.size(0), -1)
        if self.kind == "mlp":
            return self.out(functional.relu(self.norm(self.pre(x))))
        if self.kind == "two":
            return torch.cat([self.label(x), self.box(x)], 1)
        return self.fc(x)


class ConvNet(nn.Module):
    """A stem, stages of one kind of block each, and a head."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width = d["width"]
        self.head = Head(d, width * 2 ** (len(d["blocks"]) - 1))
        self.stem = nn.Conv2d(3, width, 4, 4) if d["stem"] == "patch" else Unit(d, 3, width, d["stem_kernel"], 1)
        stages: list[nn.Module] = []
        inputs = width
        for index, kind in enumerate(d["blocks"]):
            outputs = width * 2**index
            depth = d["depth"] if index < d["deep"] else 1
            made = [BLOCKS[kind](d, inputs if i == 0 else outputs, outputs, 2 if index and not i else 1)
                    for i in range(depth)]  # fmt: skip
            stages.append(nn.Sequential(*made))
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        self.last = norm_over_channels(d["norm"], inputs, 2, d["norm_groups"]) if d["last_norm"] else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(self.last(x))
