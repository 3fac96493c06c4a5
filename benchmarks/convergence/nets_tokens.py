"""The networks of the tuned half without batch norm: ViT, ConvNeXt, MLP-Mixer."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.convergence.nets import ACTIVATIONS


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, act: str) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = ACTIVATIONS[act]()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width))


class Encoder(nn.Module):
    def __init__(self, width: int, heads: int, ratio: int, act: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, width * ratio, act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Tokens(nn.Module):
    """Patches, blocks, a norm, the mean of the tokens and a head."""

    def __init__(self, width: int, patch: int, blocks: list[nn.Module], positions: bool, classes: int) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, patch, patch)
        self.pos_embed = nn.Parameter(torch.randn(1, (16 // patch) ** 2, width) * 0.02) if positions else None
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        return self.head(self.norm(self.blocks(x)).mean(1))


def vit(
    classes: int = 10,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    ratio: int = 2,
    patch: int = 4,
    act: str = "gelu",
) -> nn.Module:
    """Return a vision transformer with a learned position for each patch."""
    return Tokens(width, patch, [Encoder(width, heads, ratio, act) for _ in range(depth)], True, classes)


class MixerBlock(nn.Module):
    def __init__(self, width: int, tokens: int, mixing: int, ratio: int, act: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.mlp_tokens = Mlp(tokens, mixing, act)
        self.norm2 = nn.LayerNorm(width)
        self.mlp_channels = Mlp(width, width * ratio, act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


def mixer(
    classes: int = 10,
    width: int = 64,
    depth: int = 4,
    mixing: int = 32,
    ratio: int = 2,
    patch: int = 4,
    act: str = "gelu",
) -> nn.Module:
    """Return an MLP-Mixer."""
    blocks = [MixerBlock(width, (16 // patch) ** 2, mixing, ratio, act) for _ in range(depth)]
    return Tokens(width, patch, blocks, False, classes)


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of an image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    def __init__(self, width: int, kernel: int, ratio: int, act: str) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, width * ratio, act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mlp(self.norm(self.dwconv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    def __init__(self, width: int, depth: int, kernel: int, ratio: int, act: str, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 2, 2), ChannelNorm(width))
        stages: list[nn.Module] = []
        for stage in range(3):
            size = width * 2**stage
            down = [ChannelNorm(size // 2), nn.Conv2d(size // 2, size, 2, 2)] if stage else []
            stages.append(nn.Sequential(*down, *[ConvNextBlock(size, kernel, ratio, act) for _ in range(depth)]))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.stages(self.stem(images)).mean((2, 3))))


def convnext(
    classes: int = 10, width: int = 24, depth: int = 2, kernel: int = 5, ratio: int = 3, act: str = "gelu"
) -> nn.Module:
    """Return three stages of `depth` ConvNeXt blocks."""
    return ConvNext(width, depth, kernel, ratio, act, classes)
