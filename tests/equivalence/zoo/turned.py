"""LLaMA as its authors write it (meta-llama/llama, `llama/model.py`): rotary embeddings turn neighbouring channels,
written in the ways that are about."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tests.equivalence.zoo.gated import Gated

WIDTH, INNER, HEADS, KEYS, TOKENS = 48, 96, 4, 2, 61
HEAD = WIDTH // HEADS
Turn = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def _stacked(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    return torch.stack([first * cos - second * sin, second * cos + first * sin], -1).flatten(3)


def _strided(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x[..., ::2], x[..., 1::2]
    return torch.stack([first * cos - second * sin, first * sin + second * cos], -1).flatten(-2)


def _complex(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    numbers = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(numbers * torch.complex(cos, sin)).flatten(3)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    cos, sin = cos.repeat_interleave(2, -1), sin.repeat_interleave(2, -1)
    return x * cos + torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2) * sin


def _viewed(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    halves = x.reshape(*x.shape[:-1], 2, -1)
    first, second = halves[..., 0, :], halves[..., 1, :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


TURNS: dict[str, Turn] = {
    "stacked": _stacked, "strided": _strided, "complex": _complex, "rotated": _rotated, "viewed": _viewed,
}  # fmt: skip


class Norm(nn.Module):
    """RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.eps = 1e-6
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    """Causal attention of four heads that share two keys."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.wq, self.wk, self.wv = (nn.Linear(WIDTH, HEAD * count, bias=False) for count in (HEADS, KEYS, KEYS))
        self.wo = nn.Linear(WIDTH, WIDTH, bias=False)
        self.turn = turn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        q, k, v = (made(x).view(b, n, -1, HEAD) for made in (self.wq, self.wk, self.wv))
        angles = torch.outer(torch.arange(n).to(x), 1e4 ** (-torch.arange(0, HEAD, 2).to(x) / HEAD))[:, None]
        q, k = (self.turn(part, angles.cos(), angles.sin()) for part in (q, k))
        k, v = (part.repeat_interleave(HEADS // KEYS, 2) for part in (k, v))
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mask = torch.triu(torch.full((n, n), float("-inf"), device=x.device), 1)
        weights = (q @ k.transpose(2, 3) / HEAD**0.5 + mask).softmax(-1)
        return self.wo((weights @ v).transpose(1, 2).reshape(b, n, -1))


class Block(nn.Module):
    """One layer."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.attention, self.feed_forward = Attention(turn), Gated(WIDTH, INNER)
        self.attention_norm, self.ffn_norm = Norm(), Norm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class LLaMA(nn.Module):
    """Two layers of LLaMA; `turn` names how the rotary embedding is written."""

    def __init__(self, turn: str = "complex") -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(TOKENS, WIDTH)
        self.layers = nn.ModuleList(Block(TURNS[turn]) for _ in range(2))
        self.norm = Norm()
        self.output = nn.Linear(WIDTH, TOKENS, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tok_embeddings(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))
