"""The rows of a tensor whose values stand in another order in its file."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from tli_cli.checkpoints.files import FileRange, read_range
from tli_cli.floats import STORED
from tli_cli.pieces import Layout


class Turned:
    """Gives rows of the values of `dtype` in `piece`, reordered by `layout`; all are read when the first are asked
    for."""

    def __init__(self, piece: FileRange, dtype: str, layout: Layout) -> None:
        self._piece, self._dtype, self._layout = piece, dtype, layout
        self._lock = Lock()
        self._values: Any = None

    def read(self, parts: Sequence[tuple[int, Any]]) -> None:
        """Fill arrays of shape `(rows, columns)`, each with the rows from the one that stands before it on."""
        with self._lock:
            if self._values is None:
                self._values = self._turned()
        for first, out in parts:
            out[...] = self._values.reshape(-1, out.shape[1])[first : first + len(out)]

    def _turned(self) -> Any:
        kind = np.dtype(STORED[self._dtype])
        values = np.empty(self._piece.length // kind.itemsize, dtype=kind)
        read_range(self._piece, values.view(np.uint8).data)
        return values.reshape(self._layout.split).transpose(self._layout.permute).reshape(-1)
