"""Networks as people write them, grown: what is kept is called so, and what cannot be kept is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli
from tli_cli.planning.between import plan_injection
from tli_cli.providers.module import describe_live

OPTIONS = Options(method="maps")


class Causal(nn.Module):
    """Convolutions that look back alone: zeros put before the input, or outputs cut off at the end."""

    def __init__(self, kernel: int = 2) -> None:
        super().__init__()
        self.before = nn.Conv1d(4, 6, kernel, dilation=2)
        self.cut = nn.Conv1d(6, 6, kernel, padding=kernel - 1)
        self.out = nn.Conv1d(6, 3, 1)
        self.back = 2 * (kernel - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.before(functional.pad(x, (self.back, 0))))
        return self.out(torch.relu(self.cut(x)[:, :, : x.shape[-1]]))


class Fourier(nn.Module):
    """Random frequencies in a buffer, as its constructor draws them."""

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.register_buffer("waves", torch.randn(6, 2))
        self.layers = nn.Sequential(nn.Linear(12, hidden), nn.ReLU(), nn.Linear(hidden, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angles = x @ self.waves.t()
        return self.layers(torch.cat((angles.sin(), angles.cos()), -1))


class Cached(nn.Module):
    """Attention over keys that are kept in buffers, each shared by several queries."""

    def __init__(self, heads: int = 2, width: int = 4) -> None:
        super().__init__()
        self.width = width
        self.q, self.kv = nn.Linear(8, heads * width, bias=False), nn.Linear(8, 2 * width, bias=False)
        self.out = nn.Linear(heads * width, 8)
        self.register_buffer("keys", torch.zeros(4, 16, 1, width, dtype=torch.float64), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        k, v = self.kv(x).view(batch, length, 2, 1, self.width).unbind(2)
        self.keys[:batch, :length] = k
        q = self.q(x).view(batch, length, -1, self.width).transpose(1, 2)
        k, v = (t.expand(-1, -1, q.shape[1], -1).transpose(1, 2) for t in (self.keys[:batch, :length], v))
        weights = (q @ k.transpose(2, 3) / self.width**0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class Frequencies(nn.Module):
    """Channels mixed by a Fourier transform over them."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.fft.fft(self.first(x)).real)


class Turned(nn.Module):
    """Steps of a flow that mix all channels before one half is shifted by what the other half gives."""

    def __init__(self, steps: int = 1) -> None:
        super().__init__()
        self.mixing = nn.ModuleList(nn.Linear(8, 8) for _ in range(steps))
        self.shifts = nn.ModuleList(nn.Linear(4, 4) for _ in range(steps))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for mix, shift in zip(self.mixing, self.shifts, strict=True):
            a, b = mix(x).chunk(2, -1)
            x = torch.cat((a, b + shift(a)), -1)
        return x


class Finer(nn.Module):
    """A map that is given at more places than it is taken at."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4 * factor**2, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(functional.pixel_shuffle(self.first(x), self.factor))


class Read(nn.Module):
    """A sequence of which the last place is read, or the mean of all."""

    def __init__(self, mean: bool = False) -> None:
        super().__init__()
        self.layers, self.mean = nn.GRU(8, 6, batch_first=True), mean
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(x)[0]
        return self.head(x.mean(1) if self.mean else x[:, -1])


class Heads(nn.Module):
    """Heads that are cut from each other and put behind each other in the batch, with queries that are added."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, width) for _ in range(3))
        self.out, self.width = nn.Linear(width, 3), width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (torch.cat(layer(x).split(self.width // 2, -1), 0) for layer in (self.q, self.k, self.v))
        weights = (q @ k.transpose(1, 2) / self.width**0.5).softmax(-1)
        return self.out(torch.cat((q + weights @ v).split(len(x), 0), -1))


class Tied(nn.Module):
    """An autoencoder whose decoder is its encoder, turned."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.layer = nn.Linear(8, width)
        self.back = nn.Parameter(torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(torch.relu(self.layer(x)), self.layer.weight.t(), self.back)


class Masked(nn.Module):
    """Attention with a mask that is filled in place, or without."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.attention, self.causal = nn.MultiheadAttention(8, 2, batch_first=True), causal

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bar = torch.zeros(x.shape[1], x.shape[1], dtype=x.dtype)
        bar.masked_fill_(torch.ones_like(bar).triu(1).bool(), float("-inf"))
        return self.attention(x, x, x, attn_mask=bar if self.causal else None)[0]


class Factors(nn.Module):
    """Products of what two layers give, added up, as recommenders do with users and items."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(8, width), nn.Linear(8, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.left(x) * self.right(x.flip(0))).sum(-1)


class PostNorm(nn.Module):
    """Blocks whose norms stand on the residual stream."""

    def __init__(self, depth: int = 1) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True, layer_norm_eps=1e-12)
        self.blocks = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x)[:, 0])


class Lecture(nn.Module):
    """Blocks that hold one module for each head, after a state that is made on the CPU, with no norm at the end."""

    def __init__(self, width: int = 8, depth: int = 1) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8 + 2, width), nn.Linear(width, 3)
        self.blocks = nn.ModuleList(LectureBlock(width) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(torch.cat((x, torch.zeros(*x.shape[:2], 2, dtype=x.dtype)), -1))
        for block in self.blocks:
            x = block(x)
        return self.last(x)


class LectureBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.heads = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(width, 4) for name in ("key", "query", "value")}) for _ in range(2)
        )
        self.proj = nn.Linear(8, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        made = []
        for head in self.heads:
            weights = (head["query"](y) @ head["key"](y).transpose(1, 2) / 2).softmax(-1)
            made.append(weights @ head["value"](y))
        return x + self.proj(torch.cat(made, -1))


class Sized(nn.Module):
    """A convolution whose input gets as many zeros as its size asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        more = [max((-(-size // 2) - 1) * 2 + 3 - size, 0) for size in x.shape[:-3:-1]]
        return self.last(self.first(functional.pad(x, [n for m in more for n in (m // 2, m - m // 2)])))


def taught(source: nn.Module, target: nn.Module, shape: tuple[int, ...]) -> tuple[bool, float]:
    """Return whether the plan says that the function is kept, and how far the outputs are apart."""
    example = (torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)
    given, wanted = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(wanted, given, example=example, options=OPTIONS)
    with torch.no_grad():
        alike = given(*example).shape == wanted(*example).shape
    return promises(plan), distance(given, wanted, example) if alike else float("inf")


@pytest.mark.parametrize(
    ("make", "change", "shape"),
    [
        (Causal, {"kernel": 3}, (2, 4, 12)),
        (Fourier, {"hidden": 12}, (3, 2)),
        (Cached, {"heads": 4}, (2, 5, 8)),
        (Cached, {"width": 8}, (2, 5, 8)),
        (Heads, {"width": 16}, (2, 5, 8)),
        (Tied, {}, (3, 8)),
        (Factors, {"width": 9}, (3, 8)),
        (PostNorm, {"depth": 3}, (2, 5, 8)),
        (Lecture, {"depth": 3}, (2, 5, 8)),
        (Lecture, {"width": 12}, (2, 5, 8)),
    ],
)
def test_growth_that_is_kept_is_called_so(make: Callable[..., nn.Module], change: dict[str, int], shape):
    promised, apart = taught(make(), make(**change), shape)
    assert promised
    assert apart < 1e-9


@pytest.mark.parametrize(
    ("make", "change", "shape"),
    [
        (Frequencies, {"width": 16}, (3, 4)),
        (Turned, {"steps": 2}, (3, 8)),
        (Finer, {"factor": 4}, (2, 3, 8, 8)),
        (Read, {"mean": True}, (2, 5, 8)),
        (Tied, {"width": 12}, (3, 8)),
        (Masked, {"causal": True}, (2, 5, 8)),
    ],
)
def test_what_is_not_kept_is_not_called_so(make: Callable[..., nn.Module], change: dict[str, int], shape):
    promised, apart = taught(make(), make(**change), shape)
    assert apart > 1e-3
    assert not promised


def test_zeros_that_follow_from_another_size_of_the_input_are_no_other_code():
    here, there = (describe_live(Sized(), ((1, 3, size, size),)) for size in (8, 9))
    assert promises(plan_injection(here, [there], OPTIONS, "target"))
