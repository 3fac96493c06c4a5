"""The same tensors under other code: what one call of the forward pass gives is changed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

LAYOUT = (
    "new_", "zeros", "ones", "arange", "full", "view", "reshape", "permute", "transpose", "movedim", "flatten",
    "unflatten", "expand", "repeat", "squeeze", "unsqueeze", "chunk", "split", "unbind", "contiguous", "outer", "to",
    "type", "double", "float", "size", "dim", "detach", "clone", "__get", "__set", "dropout", "meshgrid", "tril",
)  # fmt: skip
"""Calls that lay values out anew, or make some that depend on no input."""

Change = Callable[[torch.Tensor], torch.Tensor]


def changes(ndim: int) -> dict[str, Change]:
    """Return ways to change a tensor of `ndim` dimensions, without its batch."""
    found: dict[str, Change] = {
        "doubled": lambda t: t * 2, "negated": lambda t: -t, "relu": torch.relu, "squared": lambda t: t * t,
        "absolute": torch.abs, "plus one": lambda t: t + 1, "tanh": torch.tanh, "exp": torch.exp,
    }  # fmt: skip
    for d in range(1, ndim):
        found |= {
            f"flipped along {d}": lambda t, d=d: t.flip(d), f"rolled along {d}": lambda t, d=d: t.roll(1, d),
            f"centred along {d}": lambda t, d=d: t - t.mean(d, keepdim=True),
            f"softmax along {d}": lambda t, d=d: t.softmax(d),
            f"summed up along {d}": lambda t, d=d: t.cumsum(d),
        }  # fmt: skip
    return found


class _OneCall(TorchFunctionMode):
    """Change what call number `at` gives, by what `rng` picks, and count the calls."""

    def __init__(self, at: int, rng: Random) -> None:
        super().__init__()
        self.at, self.rng, self.calls, self.said = at, rng, 0, ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        values = isinstance(out, torch.Tensor) and out.is_floating_point() and out.numel() > 1
        if not values or isinstance(out, nn.Parameter) or name.startswith(LAYOUT):
            return out
        self.calls += 1
        if self.calls - 1 != self.at:
            return out
        label, change = self.rng.choice(list(changes(out.ndim).items()))
        self.said = f"{name} {label}"
        return change(out)


def mutated(model: nn.Module, at: int, seed: int) -> nn.Module:
    """Change what call number `at` of the forward pass of `model` gives, in place."""
    own = type(model)

    def forward(self: nn.Module, *inputs: torch.Tensor) -> Any:
        with _OneCall(at, Random(seed)):
            return own.forward(self, *inputs)

    model.__class__ = type(own.__name__, (own,), {"forward": forward, "__module__": own.__module__})
    return model


def calls_of(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Return how many calls of the forward pass make values that may be changed."""
    with _OneCall(-1, Random()) as counted, torch.no_grad():
        model(*inputs)
    return counted.calls
