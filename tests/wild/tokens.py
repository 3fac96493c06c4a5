"""Transformers drawn from ways of embedding, of writing attention, of placing norms and of reading the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

from tests.wild.parts import norm_over_last

Design = Mapping[str, Any]
LENGTH = 16


def turned(x: torch.Tensor, style: str) -> torch.Tensor:
    """Turn pairs of channels of `(n, heads, tokens, width)` by position: the halves, or neighbours."""
    half = x.shape[-1] // 2
    inverse = 100.0 ** (-torch.arange(0, half, dtype=x.dtype, device=x.device) / half)
    angles = torch.outer(torch.arange(x.shape[-2], dtype=x.dtype, device=x.device), inverse)
    if style == "halves":
        cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat((-b, a), -1) * sin
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos())
    return torch.stack(pairs, -1).flatten(-2)


class Attention(nn.Module):
    """Attention in one of the ways in which people write it."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        self.d, self.h, self.w = d, d["heads"], d["head_width"]
        self.kv = d["kv_heads"] if d["attention"] in ("grouped", "packed_kv") else self.h
        width, inner, shared, bias = d["width"], self.h * self.w, self.kv * self.w, d["biased"]
        kind = d["attention"]
        if kind == "torch":
            self.mha = nn.MultiheadAttention(width, self.h, batch_first=True, bias=bias)
            return
        self.out = nn.Linear(inner, width, bias=bias)
        if kind in ("fused", "heads_first"):
            self.to_qkv = nn.Linear(width, 3 * inner, bias=bias)
        elif kind == "packed_kv":
            self.to_q, self.to_kv = nn.Linear(width, inner, bias=bias), nn.Linear(width, 2 * shared, bias=bias)
        elif kind == "einsum":
            self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(width, self.h, self.w)) for _ in range(3))
        else:
            self.query, self.key, self.value = (nn.Linear(width, n, bias=bias) for n in (inner, shared, shared))
        if d["qk_norm"]:
            self.qn, self.kn = norm_over_last(d["norm"], self.w), norm_over_last(d["norm"], self.w)
        if d["position"] == "bias_table":
            self.table = nn.Parameter(0.1 * torch.randn(2 * LENGTH - 1, self.h))
            index = torch.arange(LENGTH)
            self.register_buffer("index", index[None] - index[:, None] + LENGTH - 1)
        elif d["position"] == "bias_map":
            self.bias_map = nn.Parameter(0.1 * torch.randn(1, self.h, LENGTH, LENGTH))

    def _parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        n, t, _ = x.shape
        kind = self.d["attention"]
        if kind == "einsum":
            q, k, v = (torch.einsum("btd,dhk->bhtk", x, w) for w in (self.wq, self.wk, self.wv))
            return q, k, v
        if kind == "fused":
            q, k, v = self.to_qkv(x).view(n, t, 3, self.h, self.w).permute(2, 0, 3, 1, 4).unbind(0)
            return q, k, v
        if kind == "heads_first":
            parts = self.to_qkv(x).view(n, t, self.h, 3 * self.w).transpose(1, 2).chunk(3, dim=-1)
            return parts[0], parts[1], parts[2]
        if kind == "packed_kv":
            k, v = self.to_kv(x).chunk(2, dim=-1)
            q = self.to_q(x)
        else:
            q, k, v = self.query(x), self.key(x), self.value(x)
        return tuple(y.reshape(n, t, -1, self.w).transpose(1, 2) for y in (q, k, v))  # type: ignore[return-value]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        d = self.d
        mask = torch.ones(t, t, dtype=torch.bool, device=x.device).tril() if d["causal"] else None
        if d["attention"] == "torch":
            barred = None if mask is None else ~mask
            return self.mha(x, x, x, attn_mask=barred, need_weights=False)[0]
        q, k, v = self._parts(x)
        if d["qk_norm"]:
            q, k = self.qn(q), self.kn(k)
        if d["position"] in ("halves", "neighbours"):
            q, k = turned(q, d["position"]), turned(k, d["position"])
        if self.kv != self.h:
            k, v = (y.repeat_interleave(self.h // self.kv, dim=1) for y in (k, v))
        bias = self._bias(t, x)
        if d["core"] == "torch":
            given = bias if mask is None else mask if bias is None else bias.masked_fill(~mask, -math.inf)
            y = functional.scaled_dot_product_attention(q, k, v, attn_mask=given)
        else:
            scores = q @ k.transpose(-2, -1) * self.w**-0.5 if d["core"] == "product" else (
                torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(self.w))  # fmt: skip
            scores = scores if bias is None else scores + bias
            scores = scores if mask is None else scores.masked_fill(~mask, -math.inf)
            y = scores.softmax(-1) @ v if d["core"] == "product" else (
                torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v))  # fmt: skip
        return self.out(y.transpose(1, 2).reshape(n, t, self.h * self.w))

    def _bias(self, t: int, x: torch.Tensor) -> torch.Tensor | None:
        if self.d["position"] == "bias_table":
            return self.table[self.index[:t, :t]].permute(2, 0, 1).unsqueeze(0)
        if self.d["position"] == "bias_map":
            return self.bias_map[..., :t, :t]
        if self.d["position"] == "alibi":
            slopes = 2.0 ** (-8.0 * torch.arange(1, self.h + 1, dtype=x.dtype, device=x.device) / self.h)
            steps = torch.arange(t, dtype=x.dtype, device=x.device)
            return -slopes[:, None, None] * (steps[:, None] - steps[None]).abs()
        return None


class FeedForward(nn.Module):
    def __init__(self, d: Design) -> None:
        super().__init__()
        width, inner, bias = d["width"], d["width"] * d["ratio"], d["biased"]
        self.kind = d["mlp"]
        if self.kind == "sequential":
            self.net = nn.Sequential(nn.Linear(width, inner, bias=bias), nn.GELU(), nn.Linear(inner, width, bias=bias))
        elif self.kind == "fused_gate":
            self.wi, self.wo = nn.Linear(width, 2 * inner, bias=bias), nn.Linear(inner, width, bias=bias)
        elif self.kind == "gated":
            self.w1, self.w3 = nn.Linear(width, inner, bias=bias), nn.Linear(width, inner, bias=bias)
            self.w2 = nn.Linear(inner, width, bias=bias)
        elif self.kind == "convs":
            self.c1, self.c2 = nn.Conv1d(width, inner, 1), nn.Conv1d(inner, width, 1)
        else:
            self.up, self.down = nn.Linear(width, inner, bias=bias), nn.Linear(inner, width, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "sequential":
            return self.net(x)
        if self.kind == "fused_gate":
            value, gate = self.wi(x).chunk(2, dim=-1)
            return self.wo(value * functional.gelu(gate))
        if self.kind == "gated":
            return self.w2(functional.silu(self.w1(x)) * self.w3(x))
        if self.kind == "convs":
            return self.c2(functional.relu(self.c1(x.transpose(1, 2)))).transpose(1, 2)
        return self.down(functional.relu(self.up(x)).square())


class Block(nn.Module):
    def __init__(self, d: Design) -> None:
        super().__init__()
        self.order = d["order"]
        self.mlp, self.attn = FeedForward(d), Attention(d)
        names = {"pre": 2, "post": 2, "parallel": 1, "sandwich": 4, "none": 0}[self.order]
        self.norms = nn.ModuleList([norm_over_last(d["norm"], d["width"]) for _ in range(names)])
        scaled = d["scaled"]
        self.gain_a = nn.Parameter(0.7 * torch.ones(d["width"])) if scaled == "channels" else None
        self.gain_b = nn.Parameter(0.7 * torch.ones(d["width"])) if scaled == "channels" else None
        self.alpha = nn.Parameter(torch.tensor(0.6)) if scaled == "scalar" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.order == "post":
            x = self.norms[0](x + self._scaled(self.attn(x), self.gain_a))
            return self.norms[1](x + self._scaled(self.mlp(x), self.gain_b))
        if self.order == "parallel":
            y = self.norms[0](x)
            return x + self._scaled(self.attn(y), self.gain_a) + self._scaled(self.mlp(y), self.gain_b)
        if self.order == "sandwich":
            x = x + self._scaled(self.norms[1](self.attn(self.norms[0](x))), self.gain_a)
            return x + self._scaled(self.norms[3](self.mlp(self.norms[2](x))), self.gain_b)
        if self.order == "none":
            x = x + self._scaled(self.attn(x), self.gain_a)
            return x + self._scaled(self.mlp(x), self.gain_b)
        x = x + self._scaled(self.attn(self.norms[0](x)), self.gain_a)
        return x + self._scaled(self.mlp(self.norms[1](x)), self.gain_b)

    def _scaled(self, y: torch.Tensor, gain: torch.Tensor | None) -> torch.Tensor:
        y = y if gain is None else gain * y
        return y if self.alpha is None else self.alpha * y


class Transformer(nn.Module):
    """Tokens, patches, frames or pixels in; classes, logits of tokens, or both out."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        self.d = d
        width = d["width"]
        entry = d["entry"]
        if entry == "tokens":
            self.embed = nn.Embedding(d["vocabulary"], width)
        elif entry == "patches":
            self.patch = nn.Conv2d(3, width, 4, 4)
        elif entry == "reshaped":
            self.patch = nn.Linear(48, width)
        elif entry == "frames":
            self.frames = nn.Conv1d(5, width, 3, 2, 1)
        else:
            self.patch = nn.Linear(6, width)
        if d["position"] == "learned":
            self.pos = nn.Parameter(0.1 * torch.randn(1, LENGTH, width))
        elif d["position"] == "table":
            self.positions = nn.Embedding(LENGTH, width)
        elif d["position"] == "waves":
            place = torch.arange(LENGTH)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(100.0) / width))
            self.register_buffer("pe", torch.stack([place.sin(), place.cos()], -1).flatten(1))
        if d["shared"]:
            self.block = Block(d)
        else:
            self.blocks = nn.ModuleList([Block(d) for _ in range(d["depth"])])
        self.final = norm_over_last(d["norm"], width) if d["last_norm"] else nn.Identity()
        reads = d["reads"]
        if reads == "token":
            self.cls = nn.Parameter(0.1 * torch.randn(width))
        elif reads == "attended":
            self.pool = nn.Linear(width, 1)
        if reads == "tied":
            self.out_bias = nn.Parameter(torch.zeros(d["vocabulary"])) if d["biased"] else None
        else:
            self.head = nn.Linear(width, d["vocabulary"] if reads == "logits" else d["classes"], bias=d["biased"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self._embedded(x)
        if self.d["reads"] == "token":
            x = torch.cat([self.cls.expand(x.shape[0], 1, -1), x[:, 1:]], dim=1)
        for index in range(self.d["depth"]):
            x = self.block(x) if self.d["shared"] else self.blocks[index](x)
        x = self.final(x)
        reads = self.d["reads"]
        if reads == "tied":
            return functional.linear(x, self.embed.weight, self.out_bias)
        if reads == "token":
            x = x[:, 0]
        elif reads == "mean":
            x = x.mean(dim=1)
        elif reads == "attended":
            x = (self.pool(x).softmax(1) * x).sum(1)
        return self.head(x)

    def _embedded(self, x: torch.Tensor) -> torch.Tensor:
        entry = self.d["entry"]
        if entry == "tokens":
            x = self.embed(x) * (math.sqrt(self.d["width"]) if self.d["root"] else 1.0)
        elif entry == "patches":
            x = self.patch(x).flatten(2).transpose(1, 2)
        elif entry == "reshaped":
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(n, LENGTH, 48)
            x = self.patch(x)
        elif entry == "frames":
            x = functional.gelu(self.frames(x)).transpose(1, 2)
        else:
            x = self.patch(x)
        if self.d["position"] == "learned":
            return x + self.pos[:, : x.shape[1]]
        if self.d["position"] == "table":
            return x + self.positions(torch.arange(x.shape[1], device=x.device))
        return x + self.pe[: x.shape[1]] if self.d["position"] == "waves" else x
