"""Small networks over tokens: vision transformers, decoders, mixers, gated and post-norm blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn

CLASSES = 5
EPS = 1e-14


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class GatedMlp(nn.Module):
    """A gated linear unit with one fused projection."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up, self.down = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(functional.silu(gate) * up)


class FusedAttention(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.qkv = nn.Linear(width, 3 * heads * head_width)
        self.proj = nn.Linear(heads * head_width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, t, -1))


class Encoder(nn.Module):
    """One transformer block, its norms before the branches or behind the sums."""

    def __init__(self, width: int, heads: int, head_width: int, hidden: int, post: bool, gated: bool) -> None:
        super().__init__()
        self.post = post
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.attn = FusedAttention(width, heads, head_width)
        self.mlp = GatedMlp(width, hidden) if gated else Mlp(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.post:
            x = self.norm1(x + self.attn(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(
        self,
        width: int = 16,
        depth: int = 2,
        heads: int = 2,
        head_width: int = 8,
        ratio: int = 2,
        post: bool = False,
        gated: bool = False,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.pos_embed = nn.Parameter(torch.randn(1, 17, width) * 0.1)
        self.blocks = nn.Sequential(
            *(Encoder(width, heads, head_width, width * ratio, post, gated) for _ in range(depth))
        )
        self.norm, self.head = nn.LayerNorm(width, eps=EPS), nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def post_norm(**given: int) -> nn.Module:
    """A vision transformer whose norms stand behind the sums."""
    return ViT(post=True, **given)


def gated(**given: int) -> nn.Module:
    """A vision transformer with gated linear units."""
    return ViT(gated=True, **given)


class MixerBlock(nn.Module):
    def __init__(self, tokens: int, width: int, ratio: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.mlp_tokens, self.mlp_channels = Mlp(tokens, 2 * tokens), Mlp(width, ratio * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, width: int = 16, depth: int = 2, ratio: int = 2, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(MixerBlock(16, width, ratio) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width, eps=EPS), nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


def rotated(x: torch.Tensor) -> torch.Tensor:
    """Turn pairs of channels of `(n, heads, tokens, width)` by angles that grow with position (arXiv 2104.09864)."""
    half = x.shape[-1] // 2
    frequency = 100.0 ** (-torch.arange(half, dtype=x.dtype, device=x.device) / half)
    angle = torch.arange(x.shape[-2], dtype=x.dtype, device=x.device)[:, None] * frequency
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


class GroupedAttention(nn.Module):
    """Causal attention whose key and value heads each serve several query heads."""

    def __init__(self, width: int, heads: int, kv_heads: int, head_width: int, rotary: bool) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width, self.rotary = heads, kv_heads, head_width, rotary
        self.q_proj = nn.Linear(width, heads * head_width, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * head_width, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * head_width, bias=False)
        self.o_proj = nn.Linear(heads * head_width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        q = self.q_proj(x).view(n, t, self.heads, self.head_width).transpose(1, 2)
        k = self.k_proj(x).view(n, t, self.kv_heads, self.head_width).transpose(1, 2)
        v = self.v_proj(x).view(n, t, self.kv_heads, self.head_width).transpose(1, 2)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, 1) for y in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(n, t, -1))


class SwiGlu(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderBlock(nn.Module):
    def __init__(self, width: int, hidden: int, *attention: int) -> None:
        super().__init__()
        self.input_norm, self.post_norm = nn.RMSNorm(width, eps=EPS), nn.RMSNorm(width, eps=EPS)
        self.self_attn = GroupedAttention(width, *attention)
        self.mlp = SwiGlu(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_norm(x))
        return x + self.mlp(self.post_norm(x))


class Decoder(nn.Module):
    """A decoder-only language model; its embedding may be its head as well."""

    def __init__(
        self,
        width: int = 16,
        depth: int = 2,
        heads: int = 4,
        kv_heads: int = 2,
        head_width: int = 4,
        hidden: int = 24,
        rotary: bool = False,
        tied: bool = True,
        vocabulary: int = 17,
        biased: bool = False,
    ) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(
            DecoderBlock(width, hidden, heads, kv_heads, head_width, rotary) for _ in range(depth)
        )
        self.norm = nn.RMSNorm(width, eps=EPS)
        self.lm_head = nn.Linear(width, vocabulary, bias=biased)
        if tied:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


def rotary(**given: int) -> nn.Module:
    """A decoder with rotary embeddings and a head of its own."""
    return Decoder(rotary=True, tied=False, **given)


TOKEN_NETS = {"vit": ViT, "post_norm": post_norm, "gated": gated, "mixer": Mixer, "decoder": Decoder, "rotary": rotary}
