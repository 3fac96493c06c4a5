"""Networks of the fresh half, on which choices from the tuned half are checked: pre-activation, pooling, gates."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.convergence.nets import ACTIVATIONS


class PreBlock(nn.Module):
    """A residual block whose norms stand before its convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: str) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 or inputs != outputs else None
        self.act = ACTIVATIONS[act]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.bn1(x))
        kept = x if self.skip is None else self.skip(y)
        return kept + self.conv2(self.act(self.bn2(self.conv1(y))))


class PreAct(nn.Module):
    def __init__(self, classes: int, width: int, depth: int, act: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        blocks, inputs = [], width
        for stage in range(3):
            for index in range(depth):
                outputs = width * 2**stage
                blocks.append(PreBlock(inputs, outputs, 2 if stage and not index else 1, act))
                inputs = outputs
        self.layers = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(inputs)
        self.act = ACTIVATIONS[act]()
        self.fc = nn.Linear(inputs, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.act(self.norm(self.layers(self.stem(images)))).mean((2, 3)))


def preact(classes: int = 10, width: int = 12, depth: int = 2, act: str = "relu") -> nn.Module:
    """Return a residual network of three stages with norms before its convolutions."""
    return PreAct(classes, width, depth, act)


class ScaledEncoder(nn.Module):
    """Attention and an MLP, each scaled channel by channel before it is added."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, width * ratio), nn.Linear(width * ratio, width)
        self.gamma1, self.gamma2 = (nn.Parameter(torch.full((width,), 0.1)) for _ in range(2))
        self.act = nn.GELU()

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.gamma1 * self.attend(self.norm1(x))
        return x + self.gamma2 * self.down(self.act(self.up(self.norm2(x))))


class GatedMlp(nn.Module):
    """A block of gMLP (arXiv 2105.08050): half of the channels, mixed over tokens, gate the other half."""

    def __init__(self, width: int, tokens: int, ratio: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width * ratio)
        self.gate_norm = nn.LayerNorm(width * ratio)
        self.mix = nn.Conv1d(tokens, tokens, 1)
        self.down = nn.Linear(width * ratio, width)
        self.act = nn.GELU()
        nn.init.normal_(self.mix.weight, std=1e-3)
        nn.init.ones_(self.mix.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, gate = self.act(self.up(self.norm(x))).chunk(2, -1)
        return x + self.down(kept * self.mix(self.gate_norm(gate)))


class Patches(nn.Module):
    def __init__(self, classes: int, width: int, blocks: list[nn.Module], positions: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(torch.randn(1, 16, width) * 0.02) if positions else None
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = x if self.position is None else x + self.position
        return self.fc(self.norm(self.blocks(x)).mean(1))


def vit_scaled(classes: int = 10, width: int = 48, depth: int = 4, heads: int = 4, ratio: int = 2) -> nn.Module:
    """Return a vision transformer with layer scales and separate projections."""
    return Patches(classes, width, [ScaledEncoder(width, heads, ratio) for _ in range(depth)], True)


def gmlp(classes: int = 10, width: int = 48, depth: int = 4, ratio: int = 2) -> nn.Module:
    """Return a gMLP."""
    return Patches(classes, width, [GatedMlp(width, 16, ratio) for _ in range(depth)], False)


class PoolBlock(nn.Module):
    """A block of PoolFormer (arXiv 2111.11418): the mean of the neighbours, then an MLP."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.fc1, self.fc2 = nn.Conv2d(width, width * ratio, 1), nn.Conv2d(width * ratio, width, 1)
        self.act = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.pool(y) - y
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class PoolFormer(nn.Module):
    def __init__(self, classes: int, width: int, depth: int, ratio: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1)]
        for stage in range(3):
            layers += [nn.Conv2d(width, width * 2, 3, 2, 1)] if stage else []
            width = width * 2 if stage else width
            layers += [PoolBlock(width, ratio) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.GroupNorm(1, width)
        self.fc = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.layers(images)).mean((2, 3)))


def poolformer(classes: int = 10, width: int = 16, depth: int = 2, ratio: int = 2) -> nn.Module:
    """Return a PoolFormer of three stages."""
    return PoolFormer(classes, width, depth, ratio)
