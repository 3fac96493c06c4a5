"""Text models written by hand, whose names and layouts differ from those of transformers."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn

WIDTH, INNER, HEADS, KEYS, TOKENS, LENGTH = 48, 96, 4, 2, 61, 32


class FusedAttention(nn.Module):
    """Attention with one projection for query, key and value, which lie end to end or alternate head by head."""

    def __init__(self, causal: bool, alternating: bool = False) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.merge = nn.Linear(WIDTH, WIDTH)
        self.causal, self.alternating = causal, alternating

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        if self.alternating:
            fused = self.to_qkv(x).view(b, n, HEADS, 3, WIDTH // HEADS)
            q, k, v = (fused[..., i, :].transpose(1, 2) for i in range(3))
        else:
            q, k, v = self.to_qkv(x).view(b, n, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        return self.merge(attend(q, k, v, self.causal).transpose(1, 2).reshape(b, n, WIDTH))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        rows = torch.arange(q.shape[-2], device=q.device)
        scores = scores.masked_fill(rows[None, :] > rows[:, None], float("-inf"))
    return scores.softmax(-1) @ v


class PostNormBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ln_a = FusedAttention(causal=False), nn.LayerNorm(WIDTH, eps=1e-12)
        self.up, self.down, self.ln_b = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH), nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.ln_a(x + self.attn(x))
        return self.ln_b(x + self.down(functional.gelu(self.up(x))))


class Encoder(nn.Module):
    """A BERT under other names, with fused projections; no segments but the first, as in inference on one text."""

    def __init__(self) -> None:
        super().__init__()
        self.tok, self.seg, self.pos = nn.Embedding(TOKENS, WIDTH), nn.Embedding(2, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.ln = nn.LayerNorm(WIDTH, eps=1e-12)
        self.blocks = nn.ModuleList(PostNormBlock() for _ in range(2))
        self.pool = nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.arange(ids.shape[1], device=ids.device)[None]
        x = self.ln(self.tok(ids) + self.seg(torch.zeros_like(ids)) + self.pos(places))
        for block in self.blocks:
            x = block(x)
        return x, torch.tanh(self.pool(x[:, 0]))


class PreNormBlock(nn.Module):
    def __init__(self, alternating: bool) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = FusedAttention(causal=True, alternating=alternating)
        self.fc, self.out = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.out(functional.gelu(self.fc(self.ln2(x)), approximate="tanh"))


class Decoder(nn.Module):
    """A GPT-2 whose projections are linear layers, with its output tied to its tokens."""

    def __init__(self, alternating: bool = False) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(TOKENS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(PreNormBlock(alternating) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, TOKENS, bias=False)
        self.head.weight = self.tok.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1], device=ids.device)[None])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale


class RotaryBlock(nn.Module):
    """A LLaMA block with fused query, key and value, and fused gate and up."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_a, self.norm_b = RMSNorm(), RMSNorm()
        self.width = WIDTH // HEADS
        self.wqkv = nn.Linear(WIDTH, (HEADS + 2 * KEYS) * self.width, bias=False)
        self.wo = nn.Linear(WIDTH, WIDTH, bias=False)
        self.w13 = nn.Linear(WIDTH, 2 * INNER, bias=False)
        self.w2 = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        sizes = [HEADS * self.width, KEYS * self.width, KEYS * self.width]
        q, k, v = (
            part.view(b, n, -1, self.width).transpose(1, 2) for part in self.wqkv(self.norm_a(x)).split(sizes, dim=-1)
        )
        k, v = (part.repeat_interleave(HEADS // KEYS, dim=1) for part in (rotate(k), v))
        x = x + self.wo(attend(rotate(q), k, v, causal=True).transpose(1, 2).reshape(b, n, WIDTH))
        gate, up = self.w13(self.norm_b(x)).chunk(2, dim=-1)
        return x + self.w2(functional.silu(gate) * up)


def rotate(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    places = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)
    steps = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = torch.outer(places, steps)
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class Rotary(nn.Module):
    """A LLaMA under other names."""

    def __init__(self) -> None:
        super().__init__()
        self.tok = nn.Embedding(TOKENS, WIDTH)
        self.layers = nn.ModuleList(RotaryBlock() for _ in range(2))
        self.norm = RMSNorm()
        self.output = nn.Linear(WIDTH, TOKENS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok(ids)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


def encoder() -> nn.Module:
    return Encoder()


def decoder() -> nn.Module:
    return Decoder()


def alternating() -> nn.Module:
    return Decoder(alternating=True)


def rotary() -> nn.Module:
    return Rotary()


class ParallelBlock(nn.Module):
    """A GPT-NeoX block with separate query, key and value, of which a quarter of each head is rotated."""

    def __init__(self) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        width = WIDTH // HEADS
        normed = self.n1(x)
        q, k, v = (w(normed).view(b, n, HEADS, width).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        turn = width // 4 // 2 * 2
        q, k = (torch.cat([rotate(part[..., :turn]), part[..., turn:]], -1) for part in (q, k))
        mixed = attend(q, k, v, causal=True).transpose(1, 2).reshape(b, n, WIDTH)
        return x + self.wo(mixed) + self.fc2(functional.gelu(self.fc1(self.n2(x))))


class Parallel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tok = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.ModuleList(ParallelBlock() for _ in range(2))
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tok(ids)
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


def parallel() -> nn.Module:
    return Parallel()
