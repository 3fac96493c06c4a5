"""Tensors of different rank: bring a source to the rank of its target."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def fit_rank(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a view of `tensor` with the rank of `shape`.

    Axes of size 1 are dropped or added first; what is left over is flattened into, or unflattened from, the last axis.
    """
    surplus = tensor.ndim - len(shape)
    if surplus > 0:
        dropped = _drop_ones(tensor, surplus)
        return dropped if dropped.ndim == len(shape) else dropped.flatten(start_dim=len(shape) - 1)
    return _add_axes(tensor, shape) if surplus < 0 else tensor


def _drop_ones(tensor: torch.Tensor, surplus: int) -> torch.Tensor:
    while surplus and tensor.shape[-1] == 1:
        tensor, surplus = tensor.squeeze(-1), surplus - 1
    while surplus and tensor.shape[0] == 1:
        tensor, surplus = tensor.squeeze(0), surplus - 1
    return tensor


def _add_axes(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    while tensor.ndim < len(shape) and shape[len(shape) - tensor.ndim - 1] == 1 and shape[-1] != 1:
        tensor = tensor.unsqueeze(0)
    missing = len(shape) - tensor.ndim
    if not missing:
        return tensor
    last = tensor.ndim - 1
    # (64, 48) was flattened from (64, 3, 4, 4): put the axes back where the product says so.
    if tensor.ndim and tensor.shape[last] == prod(shape[last:]) != shape[last]:
        return tensor.reshape(*tensor.shape[:last], *shape[last:])
    return tensor.reshape(*tensor.shape, *([1] * missing))
