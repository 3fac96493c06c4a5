"""Watch one linear map of a running model, and the sum in which its output meets a shortcut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

ADDS = ("add", "add_", "__add__", "__radd__", "__iadd__")


@dataclass(frozen=True)
class Join:
    """A sum: what the branch brings, and the sum itself, before anything acts on it."""

    branch: torch.Tensor
    total: torch.Tensor


class JoinTape(TorchFunctionMode):
    """Call `found` with the first sum of a tensor that depends on the watched map and one that does not.

    What depends on the map is told by autograd: `mark` makes the map's output the only tensor that requires a gradient.
    """

    def __init__(self, found: Callable[[Join], None]) -> None:
        super().__init__()
        self._found = found
        self._open = True

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        branch = self._branch(func, args) if self._open else None
        before = branch.detach().clone() if branch is not None else None
        result = func(*args, **(kwargs or {}))
        if before is not None:
            self._open = False
            self._found(Join(before, result.detach().clone()))
        return result

    @staticmethod
    def _branch(func: Any, args: Any) -> torch.Tensor | None:
        if getattr(func, "__name__", "") not in ADDS or len(args) < 2:
            return None
        first, second = args[:2]
        if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)) or first.shape != second.shape:
            return None
        if first.requires_grad == second.requires_grad:
            return None
        return first if first.requires_grad else second


def mark(output: torch.Tensor) -> torch.Tensor:
    """Return `output` as a tensor that requires a gradient and may be written to in place."""
    return output.detach().requires_grad_().clone()


def channel_dim(layer: nn.Module, value: torch.Tensor) -> int:
    """Return the dimension of the layer's output on which its output channels are."""
    return value.ndim - 1 if isinstance(layer, nn.Linear) else 1
