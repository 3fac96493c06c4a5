"""Mapping tensors that are in memory, by the arithmetic that maps them on their way from file to file."""

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
