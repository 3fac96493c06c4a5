"""The networks of the reported half without batch norm: class token, layer scale, small patches."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.convergence.nets import ACTIVATIONS


def feed_forward(width: int, hidden: int, act: str) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), ACTIVATIONS[act](), nn.Linear(hidden, width))


class SeparateAttention(nn.Module):
    """Attention with its query, key and value in layers of their own."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        shape = (batch, tokens, self.heads, width // self.heads)
        q, k, v = (layer(x).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return self.output(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width))


class EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.self_attention = SeparateAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = feed_forward(width, width * ratio, "gelu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class VitCls(nn.Module):
    """A vision transformer that classifies by a token of its own."""

    def __init__(self, classes: int, width: int, depth: int, heads: int, ratio: int, patch: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embedding = nn.Parameter(torch.randn(1, (16 // patch) ** 2 + 1, width) * 0.02)
        self.layers = nn.Sequential(*[EncoderLayer(width, heads, ratio) for _ in range(depth)])
        self.ln = nn.LayerNorm(width)
        self.heads = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv_proj(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embedding
        return self.heads(self.ln(self.layers(x))[:, 0])


def vit_cls(
    classes: int = 10, width: int = 48, depth: int = 4, heads: int = 3, ratio: int = 3, patch: int = 4
) -> nn.Module:
    """Return a vision transformer with a class token and separate projections."""
    return VitCls(classes, width, depth, heads, ratio, patch)


class MixerLayer(nn.Module):
    def __init__(self, width: int, tokens: int, ratio: int) -> None:
        super().__init__()
        self.token_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.token_mixing = feed_forward(tokens, tokens // 2, "gelu")
        self.channel_mixing = feed_forward(width, width * ratio, "gelu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.token_mixing(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mixing(self.channel_norm(x))


class Mixer(nn.Module):
    """Patches, mixing layers, a norm, the mean of the tokens and a head."""

    def __init__(self, classes: int, width: int, depth: int, ratio: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.mixing = nn.Sequential(*[MixerLayer(width, (16 // patch) ** 2, ratio) for _ in range(depth)])
        self.final_norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.mixing(self.patches(images).flatten(2).transpose(1, 2))
        return self.classifier(self.final_norm(x).mean(1))


def mixer_patch2(classes: int = 10, width: int = 32, depth: int = 3, ratio: int = 3, patch: int = 2) -> nn.Module:
    """Return an MLP-Mixer of many small patches."""
    return Mixer(classes, width, depth, ratio, patch)


class ScaledBlock(nn.Module):
    """A ConvNeXt block whose branch is scaled channel by channel."""

    def __init__(self, width: int, kernel: int, ratio: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mlp = feed_forward(width, width * ratio, "gelu")
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1))) * self.gamma).permute(0, 3, 1, 2)


class ConvNextScaled(nn.Module):
    """Four stages of scaled blocks, a strided convolution between some of them."""

    def __init__(self, classes: int, width: int, depth: int, kernel: int, ratio: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1)]
        inputs = width
        for factor in (1, 2, 3):
            if factor > 1:
                layers += [nn.GroupNorm(1, inputs), nn.Conv2d(inputs, width * factor, 2, 2)]
            inputs = width * factor
            layers += [ScaledBlock(inputs, kernel, ratio) for _ in range(depth + 1)]
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(inputs)
        self.head = nn.Linear(inputs, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.features(images).mean((2, 3))))


def convnext_scaled(classes: int = 10, width: int = 16, depth: int = 1, kernel: int = 7, ratio: int = 4) -> nn.Module:
    """Return a ConvNeXt with layer scale."""
    return ConvNextScaled(classes, width, depth, kernel, ratio)
