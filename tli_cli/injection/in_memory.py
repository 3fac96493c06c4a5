"""Tensors that are in memory: mapped by the arithmetic that maps them on their way from file to file, and given lengths
(weight normalisation, arXiv 1602.07868)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tli_cli.axis_maps.selection import Selection
from tli_cli.floats import STORED
from tli_cli.injection.mapped import Mapped, matrix_of

_BITS = {1: torch.uint8, 2: torch.uint16}


def selected(tensor: torch.Tensor, selections: Sequence[Selection], gain: float) -> torch.Tensor | None:
    """Return `tensor`, on the CPU, with each axis chosen by one of `selections`, times `gain`; None where they cannot
    be brought together."""
    dtype = str(tensor.dtype)[6:]
    sides = matrix_of(selections)
    if sides is None:
        return None
    rows, columns = sides
    held = stored(tensor).reshape(rows.columns, columns.columns)
    made = np.empty((rows.rows, columns.rows), dtype=STORED[dtype])

    def read(parts: Sequence[tuple[int, Any]]) -> None:
        for first, out in parts:
            out[...] = held[first : first + len(out)]

    if made.size:
        Mapped(read, rows, columns, dtype, dtype, gain).fill(0, made.reshape(-1).view(np.uint8).data)
    shape = [selection.rows for selection in selections]
    return torch.from_numpy(made).view(tensor.dtype).reshape(shape)


def stored(tensor: torch.Tensor) -> Any:
    """Return the values of `tensor` as an array of what is stored."""
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return plain.view(_BITS.get(plain.element_size(), plain.dtype)).numpy()


def computed(tensor: torch.Tensor) -> torch.Tensor:
    """Return `tensor` in the type that it is computed in: float32, unless it is wider or complex."""
    wide = tensor.dtype == torch.float64 or tensor.is_complex()
    return tensor if wide else tensor.float()


def length_of(weight: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return the Euclidean lengths of `weight`, one for each place of `shape`, which has its axes, those of size 1 for
    the ones that are summed over, or none."""
    summed = [dim for dim in range(weight.ndim) if not shape or shape[dim] == 1]
    held = computed(weight)
    return (held.square().sum(summed, keepdim=True).sqrt() if summed else held.abs()).reshape(tuple(shape))


def lengthened(direction: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Return `direction` with `length`; where it has none of its own, zero."""
    own = length_of(direction, length.shape)
    factor = torch.where(own > 0, computed(length).to(own.device) / own, torch.zeros_like(own))
    return (computed(direction) * factor).to(direction.dtype)
