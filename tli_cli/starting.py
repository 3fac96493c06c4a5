"""The constants that a plan may start a tensor from."""

from __future__ import annotations

from collections.abc import Sequence

import torch

CONSTANTS = ("zeros", "ones", "identity")


def constant_start(name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor of `shape`: all zeros, all ones, or the layer `(out, in, *kernel)` that passes its input on."""
    if name == "ones":
        return torch.ones(tuple(shape), dtype=dtype)
    value = torch.zeros(tuple(shape), dtype=dtype)
    if name == "identity":
        centre = tuple(size // 2 for size in shape[2:])
        for i in range(min(shape[0], shape[1])):
            value[(i, i, *centre)] = 1.0
    return value
