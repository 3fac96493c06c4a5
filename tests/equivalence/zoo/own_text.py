"""Networks as people write them themselves: plain modules of torch, and names that no library uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

WIDTH, INNER, HEADS, TOKENS, LENGTH = 48, 96, 4, 61, 32


class Attention(nn.Module):
    """Attention with separate projections; keys may be fewer, turned by position, or normalised."""

    def __init__(
        self, keys: int = HEADS, in_bias: bool = True, out_bias: bool = True, turned: bool = False, causal: bool = True,
        normed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        width = WIDTH // HEADS
        self.lin_q = nn.Linear(WIDTH, WIDTH, bias=in_bias)
        self.lin_k, self.lin_v = (nn.Linear(WIDTH, keys * width, bias=in_bias) for _ in range(2))
        self.lin_o = nn.Linear(WIDTH, WIDTH, bias=out_bias)
        if normed:
            self.q_ln, self.k_ln = RMS(width), RMS(width)
        self.keys, self.turned, self.causal, self.normed = keys, turned, causal, normed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        q, k, v = (made(x).view(b, n, -1, WIDTH // HEADS) for made in (self.lin_q, self.lin_k, self.lin_v))
        if self.normed:
            q, k = self.q_ln(q), self.k_ln(k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        if self.turned:
            q, k = turn(q), turn(k)
        k, v = (part.repeat_interleave(HEADS // self.keys, 1) for part in (k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.lin_o(y.transpose(1, 2).reshape(b, n, WIDTH))


def turn(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    places = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)
    angle = torch.outer(places, 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half))
    cos, sin = (torch.cat([part, part], -1) for part in (angle.cos(), angle.sin()))
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class RMS(nn.Module):
    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.g


def tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    return functional.gelu(x, approximate="tanh")


class Block(nn.Module):
    def __init__(
        self, norm: Callable[[int], nn.Module], act: Callable[[torch.Tensor], torch.Tensor], gated: bool, bias: bool,
        inner: int, parallel: bool, attention: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__()
        self.pre, self.mix = norm(WIDTH), Attention(**attention)
        self.pre2 = None if parallel else norm(WIDTH)
        self.w1 = nn.Linear(WIDTH, inner, bias=bias)
        self.w3 = nn.Linear(WIDTH, inner, bias=bias) if gated else None
        self.narrow = nn.Linear(inner, WIDTH, bias=bias)
        self.act = act

    def widened(self, x: torch.Tensor) -> torch.Tensor:
        made = self.act(self.w1(x))
        return self.narrow(made if self.w3 is None else made * self.w3(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pre2 is None:
            normed = self.pre(x)
            return x + self.mix(normed) + self.widened(normed)
        x = x + self.mix(self.pre(x))
        return x + self.widened(self.pre2(x))


class Language(nn.Module):
    """A decoder under names of its own: `positions` of them learned, the first `skipped` of these unused."""

    def __init__(
        self, positions: int = 0, skipped: int = 0, norm: Callable[[int], nn.Module] = nn.LayerNorm,
        act: Callable[[torch.Tensor], torch.Tensor] = tanh_gelu, gated: bool = False, bias: bool = True,
        inner: int = INNER, parallel: bool = False, head_bias: bool = False, **attention: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocab = nn.Embedding(TOKENS, WIDTH)
        self.place = nn.Embedding(positions, WIDTH) if positions else None
        self.h = nn.ModuleList(Block(norm, act, gated, bias, inner, parallel, attention) for _ in range(2))
        self.last, self.predict = norm(WIDTH), nn.Linear(WIDTH, TOKENS, bias=head_bias)
        self.skipped = skipped

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.vocab(ids)
        if self.place is not None:
            x = x + self.place(torch.arange(ids.shape[1], device=ids.device) + self.skipped)
        for block in self.h:
            x = block(x)
        return self.predict(self.last(x))


def _gated(**attention: Any) -> nn.Module:
    given: dict[str, Any] = {"keys": 2, "in_bias": False, "out_bias": False, "turned": True, **attention}
    return Language(norm=RMS, act=functional.silu, gated=True, bias=False, **given)


def llama() -> nn.Module:
    return _gated()


def qwen2() -> nn.Module:
    return _gated(in_bias=True)


def qwen3() -> nn.Module:
    return _gated(normed=True)


def starcoder2() -> nn.Module:
    return Language(keys=2, turned=True)


def phi() -> nn.Module:
    return Language(parallel=True, head_bias=True, turned=True)


def opt() -> nn.Module:
    return Language(positions=LENGTH + 2, skipped=2, act=functional.relu)


def bigcode() -> nn.Module:
    return Language(positions=LENGTH, inner=4 * WIDTH, keys=1)


class Sentence(nn.Module):
    """An encoder of torch's own layers, norms last; `segments` are all of the first kind."""

    def __init__(self, segments: bool = True, skipped: int = 0) -> None:
        super().__init__()
        self.words, self.place = nn.Embedding(TOKENS, WIDTH), nn.Embedding(LENGTH + skipped, WIDTH)
        self.segments = nn.Embedding(2, WIDTH) if segments else None
        self.first_norm = nn.LayerNorm(WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.skipped = skipped

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids) + self.place(torch.arange(ids.shape[1], device=ids.device) + self.skipped)
        if self.segments is not None:
            x = x + self.segments(torch.zeros_like(ids))
        return self.encoder(self.first_norm(x))


def sentence() -> nn.Module:
    return Sentence()


def sentence_without_segments() -> nn.Module:
    return Sentence(segments=False)


class Translation(nn.Module):
    """Torch's own encoder and decoder, norms last, with one table of tokens."""

    def __init__(self) -> None:
        super().__init__()
        sizes: tuple[Any, ...] = (WIDTH, HEADS, INNER, 0.0, "gelu")
        self.words = nn.Embedding(TOKENS, WIDTH)
        self.place_in, self.place_out = (nn.Embedding(LENGTH + 2, WIDTH) for _ in range(2))
        self.norm_in, self.norm_out = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        layer = nn.TransformerEncoderLayer(*sizes, batch_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.dec = nn.TransformerDecoder(nn.TransformerDecoderLayer(*sizes, batch_first=True), 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        count = ids.shape[1]
        places = torch.arange(count, device=ids.device) + 2
        memory = self.enc(self.norm_in(self.words(ids) + self.place_in(places)))
        later = torch.full((count, count), float("-inf"), device=ids.device, dtype=memory.dtype).triu(1)
        x = self.norm_out(self.words(ids) + self.place_out(places))
        return self.dec(x, memory, tgt_mask=later, tgt_is_causal=False)


def translation() -> nn.Module:
    return Translation()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lookup, self.core = nn.Embedding(TOKENS, WIDTH), nn.LSTM(WIDTH, WIDTH, 2, batch_first=True)
        self.readout = nn.Linear(WIDTH, TOKENS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.readout(self.core(self.lookup(ids))[0])


class RelativeAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        q, k, v = (made(x).view(b, n, HEADS, -1).transpose(1, 2) for made in (self.to_q, self.to_k, self.to_v))
        weights = (q @ k.transpose(-1, -2) + bias).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).reshape(b, n, WIDTH))


class RelativeBlock(nn.Module):
    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.n1, self.n2, self.at = RMS(), RMS(), RelativeAttention()
        self.up, self.dn = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(INNER, WIDTH, bias=False)
        self.gt = nn.Linear(WIDTH, INNER, bias=False) if gated else None

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x = x + self.at(self.n1(x), bias)
        y = self.n2(x)
        return x + self.dn(functional.relu(self.up(y)) if self.gt is None else tanh_gelu(self.gt(y)) * self.up(y))


class Relative(nn.Module):
    """The encoder of a T5 under names of its own."""

    def __init__(self, gated: bool = False) -> None:
        super().__init__()
        self.tok, self.rel = nn.Embedding(TOKENS, WIDTH), nn.Embedding(32, HEADS)
        self.ls, self.nf = nn.ModuleList(RelativeBlock(gated) for _ in range(2)), RMS()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        from transformers.models.t5.modeling_t5 import T5Attention

        places = torch.arange(ids.shape[1], device=ids.device)
        apart = T5Attention._relative_position_bucket(places[None] - places[:, None], True, 32, 128)
        bias, x = self.rel(apart).permute(2, 0, 1)[None], self.tok(ids)
        for layer in self.ls:
            x = layer(x, bias)
        return self.nf(x)


def relative() -> nn.Module:
    return Relative()


def relative_gated() -> nn.Module:
    return Relative(gated=True)
