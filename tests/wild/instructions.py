"""Instructions of drawn programs: what code does with values `(samples, places, channels)`, with and without layers.

Each takes and gives multiples of one width, so that a program is a network of any width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

from tests.wild.parts import EPS

PLACES = 6
Value = torch.Tensor
Run = Callable[[Any, Sequence[Value]], Value]
Make = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Instruction:
    """One operation: `make` builds its module for the channels of its first value, `taken` is the number of values of
    equal width that it takes, `grows` by what it multiplies their channels, `parts` in how many it cuts them."""

    run: Run
    make: Make | None = None
    taken: int = 1
    grows: int = 1
    parts: int = 1


class Own(nn.Module):
    """A parameter of the given shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(*shape))


class Turned(nn.Module):
    """A module over channels that stand before places."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Value) -> Value:
        return self.module(x.transpose(1, 2)).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.made, self.out = nn.ModuleList(nn.Linear(width, width) for _ in "qkv"), nn.Linear(width, width)

    def forward(self, x: Value, form: Callable[[Value, Value, Value], Value]) -> Value:
        q, k, v = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in self.made)
        return self.out(form(q, k, v).transpose(1, 2).flatten(2))


class Branch(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(
            nn.LayerNorm(width, eps=EPS), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )


def layer(make: Make, **sizes: int) -> Instruction:
    """Return an instruction that runs a module."""
    return Instruction(lambda module, values: module(values[0]), make, **sizes)


def plain(run: Callable[..., Value], taken: int = 1, **sizes: int) -> Instruction:
    """Return an instruction without tensors of its own."""
    return Instruction(lambda module, values: run(*values), None, taken, **sizes)


def learned(shape: Callable[[int], tuple[int, ...]], run: Callable[[Value, Value], Value]) -> Instruction:
    """Return an instruction with one parameter."""
    return Instruction(lambda module, values: run(values[0], module.own), lambda width: Own(*shape(width)))


def attention(form: Callable[[Value, Value, Value], Value]) -> Instruction:
    """Return an attention of two heads."""
    return Instruction(lambda module, values: module(values[0], form), Attention)


def _weighed(scores: Value, v: Value) -> Value:
    return scores.softmax(-1) @ v


def _halves(x: Value) -> tuple[Value, ...]:
    return x.chunk(2, -1)


def _normed(x: Value) -> Value:
    return functional.normalize(x, dim=-1)


INSTRUCTIONS: dict[str, dict[str, Instruction]] = {
    "layer": {
        "linear": layer(lambda w: nn.Linear(w, w)),
        "bare": layer(lambda w: nn.Linear(w, w, bias=False)),
        "wider": layer(lambda w: nn.Linear(w, 2 * w), grows=2),
        "conv": layer(lambda w: Turned(nn.Conv1d(w, w, 3, padding=1))),
        "depthwise": layer(lambda w: Turned(nn.Conv1d(w, w, 3, padding=1, groups=w))),
        "grouped": layer(lambda w: Turned(nn.Conv1d(w, w, 3, padding=1, groups=2))),
        "places": layer(lambda w: Turned(nn.Linear(PLACES, PLACES))),
        "branch": Instruction(lambda module, values: values[0] + module(values[0]), Branch),
    },
    "norm": {
        "layer": layer(lambda w: nn.LayerNorm(w, eps=EPS)),
        "rms": layer(lambda w: nn.RMSNorm(w, eps=EPS)),
        "batch": layer(lambda w: Turned(nn.BatchNorm1d(w))),
        "group": layer(lambda w: Turned(nn.GroupNorm(2, w, eps=EPS))),
        "bare": layer(lambda w: nn.LayerNorm(w, eps=EPS, elementwise_affine=False)),
        "length": plain(_normed),
    },
    "activation": {
        name: plain(getattr(functional, name))
        for name in (
            "relu",
            "gelu",
            "silu",
            "softplus",
            "elu",
            "hardswish",
            "tanh",
            "sigmoid",
            "softsign",
            "logsigmoid",
        )
    },
    "join": {
        "add": plain(torch.add, 2),
        "less": plain(torch.sub, 2),
        "times": plain(torch.mul, 2),
        "larger": plain(torch.maximum, 2),
        "gate": plain(lambda a, b: torch.sigmoid(a) * b + (1 - torch.sigmoid(a)) * a, 2),
        "row": plain(lambda a, b: torch.cat([a, b], -1), 2, grows=2),
        "dot": plain(lambda a, b: a * torch.tanh((a * b).sum(-1, keepdim=True)), 2),
        "distance": plain(lambda a, b: a * torch.exp(-((a - b) ** 2).mean(-1, keepdim=True)), 2),
    },
    "part": {
        "first": plain(lambda x: _halves(x)[0], parts=2),
        "last": plain(lambda x: _halves(x)[1], parts=2),
        "gated": plain(lambda x: _halves(x)[0] * torch.sigmoid(_halves(x)[1]), parts=2),
    },
    "places": {
        "mean": plain(lambda x: x.mean(1, keepdim=True).expand_as(x)),
        "largest": plain(lambda x: x.amax(1, keepdim=True).expand_as(x)),
        "sum": plain(lambda x: x.sum(1, keepdim=True).expand_as(x)),
        "running": plain(lambda x: x.cumsum(1)),
        "roll": plain(lambda x: x.roll(1, 1)),
        "flip": plain(lambda x: x.flip(1)),
        "first": plain(lambda x: x[:, :1].expand_as(x)),
        "last": plain(lambda x: x[:, -1:].expand_as(x)),
        "weighed": plain(lambda x: x.softmax(1) * x),
    },
    "channels": {
        "softmax": plain(lambda x: x.softmax(-1)),
        "sum": plain(lambda x: x * torch.sigmoid(x.sum(-1, keepdim=True))),
        "mean": plain(lambda x: x * torch.sigmoid(x.mean(-1, keepdim=True))),
        "largest": plain(lambda x: x - x.amax(-1, keepdim=True)),
        "centred": plain(lambda x: x - x.mean(-1, keepdim=True)),
        "length": plain(lambda x: x / (1 + x.norm(dim=-1, keepdim=True))),
        "flip": plain(lambda x: x.flip(-1)),
        "roll": plain(lambda x: x.roll(1, -1)),
        "running": plain(lambda x: x.cumsum(-1)),
        "sorted": plain(lambda x: x.sort(-1).values),
        "shuffle": plain(lambda x: x.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)),
        "first": plain(lambda x: x * torch.sigmoid(x[..., :1])),
    },
    "learned": {
        "scale": learned(lambda w: (w,), torch.mul),
        "shift": learned(lambda w: (w,), torch.add),
        "position": learned(lambda w: (1, PLACES, w), torch.add),
        "number": learned(lambda w: (1,), lambda x, own: x * torch.tanh(own)),
        "matrix": learned(lambda w: (w, w), torch.matmul),
        "heads": learned(lambda w: (2, w, w // 2), lambda x, own: torch.einsum("btc,hcd->bthd", x, own).flatten(2)),
        "mask": learned(lambda w: (PLACES, PLACES), lambda x, own: own @ x),
        "slope": layer(lambda w: Turned(nn.PReLU(w))),
    },
    "number": {
        "half": plain(lambda x: x * 0.5),
        "more": plain(lambda x: x + 1),
        "rest": plain(lambda x: 1 - x),
        "bounds": plain(lambda x: x.clamp(-0.5, 0.5)),
        "width": plain(lambda x: x / x.shape[-1]),
        "ratio": plain(lambda x: x / (1 + x.abs())),
        "squares": plain(lambda x: x**2),
    },
    "attention": {
        "plain": attention(functional.scaled_dot_product_attention),
        "causal": attention(lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True)),
        "written": attention(lambda q, k, v: _weighed(q @ k.mT / q.shape[-1] ** 0.5, v)),
        "unscaled": attention(lambda q, k, v: _weighed(q @ k.mT * 0.3, v)),
        "directions": attention(lambda q, k, v: _weighed(_normed(q) @ _normed(k).mT * 5, v)),
        "with queries": attention(lambda q, k, v: q + _weighed(q @ k.mT / q.shape[-1] ** 0.5, v)),
        "linear": attention(lambda q, k, v: (functional.elu(q) + 1) @ ((functional.elu(k) + 1).mT @ v)),
        "over channels": attention(lambda q, k, v: _weighed(q.mT @ k, v.mT).mT),
    },
}
