"""Networks over tokens written after the code that starts them: registers, windows, convolutions before attention."""

from __future__ import annotations

import torch
from torch import nn


class SeparateAttention(nn.Module):
    """Attention whose queries, keys and values are made by three layers, written out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.wo = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cut = [layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.wq, self.wk, self.wv)]
        weights = torch.softmax(cut[0] @ cut[1].transpose(-2, -1) * cut[0].shape[-1] ** -0.5, -1)
        return self.wo((weights @ cut[2]).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and an MLP around which the input is added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(width), SeparateAttention(width, heads)
        self.ln2 = nn.LayerNorm(width)
        self.ff = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.ff(self.ln2(x))


class RegisterViT(nn.Module):
    """A ViT with registers, which are left out of the mean over tokens."""

    def __init__(self, classes: int, width: int, depth: int, heads: int, registers: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.places = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        self.registers = nn.Parameter(torch.randn(1, registers, width) * 0.02)
        self.encoder = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.final = nn.LayerNorm(width)
        self.classify = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2) + self.places
        x = torch.cat([self.registers.expand(len(x), -1, -1), x], 1)
        for block in self.encoder:
            x = block(x)
        return self.classify(self.final(x)[:, self.registers.shape[1] :].mean(1))


def vit_registers(classes: int = 10, width: int = 48, depth: int = 3, heads: int = 4, registers: int = 2) -> nn.Module:
    """Return a vision transformer with registers."""
    return RegisterViT(classes, width, depth, heads, registers)


class WindowBlock(nn.Module):
    """A transformer block within windows of four by four places, shifted by two in every second block."""

    def __init__(self, width: int, heads: int, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.block = Block(width, heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = x.shape[1]
        x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.unflatten(1, (-1, 4)).unflatten(3, (-1, 4)).transpose(2, 3)
        x = self.block(x.flatten(3, 4).flatten(0, 2)).unflatten(0, (-1, side // 4, side // 4)).unflatten(3, (4, 4))
        return torch.roll(x.transpose(2, 3).flatten(3, 4).flatten(1, 2), (self.shift, self.shift), (1, 2))


class Windows(nn.Module):
    """Two stages of blocks within windows; four places are merged to one between them."""

    def __init__(self, classes: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 2, 2)
        self.first = nn.Sequential(*(WindowBlock(width, heads, 2 * (i % 2)) for i in range(depth)))
        self.merge = nn.Linear(4 * width, 2 * width, bias=False)
        self.second = nn.Sequential(*(WindowBlock(2 * width, heads, 0) for _ in range(depth)))
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.first(self.embed(images).permute(0, 2, 3, 1))
        x = torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1)
        return self.head(self.norm(self.second(self.merge(x))).mean((1, 2)))


def windows(classes: int = 10, width: int = 24, heads: int = 3, depth: int = 2) -> nn.Module:
    """Return a small Swin transformer."""
    return Windows(classes, width, heads, depth)


class Hybrid(nn.Module):
    """Convolutions, then layers of torch's own transformer."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, width // 2, 3, 2, 1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU()),
            *(nn.Conv2d(width // 2, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        )
        self.position = nn.Parameter(torch.zeros(1, 16, width))
        layers = [
            nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
            for _ in range(depth)
        ]
        self.transformer = nn.Sequential(*layers)
        self.fc = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images).flatten(2).transpose(1, 2) + self.position
        return self.fc(self.transformer(x).mean(1))


def hybrid(classes: int = 10, width: int = 48, depth: int = 2) -> nn.Module:
    """Return a transformer behind convolutions."""
    return Hybrid(classes, width, depth)


class ResMlpBlock(nn.Module):
    """A block of ResMLP (arXiv 2105.03404): one linear map over places, no norms but scales and shifts."""

    def __init__(self, width: int, places: int) -> None:
        super().__init__()
        self.scale1, self.shift1 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.scale2, self.shift2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.across = nn.Linear(places, places)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.gamma * self.across((x * self.scale1 + self.shift1).transpose(1, 2)).transpose(1, 2)
        return x + self.gamma * self.down(nn.functional.gelu(self.up(x * self.scale2 + self.shift2)))


class ResMlp(nn.Module):
    """Patches, blocks and a mean over places."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(ResMlpBlock(width, 16) for _ in range(depth)))
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.embed(images).flatten(2).transpose(1, 2)).mean(1))


def resmlp(classes: int = 10, width: int = 48, depth: int = 3) -> nn.Module:
    """Return a small ResMLP."""
    return ResMlp(classes, width, depth)
