"""`matching.alignment.align` without gaps, for many tables side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.arrays import Floats, Ints

FEW = 64
"""From so many tables on, one call for each column is faster than one call for all."""


def align_all(tables: Floats, widths: Ints) -> Ints:
    """Return for each row of each table the column that it is paired with, -1 if none: `(rows, tables)`.

    Args:
        tables: similarities, `(rows, columns, tables)`; columns from a table's width on do not count.
        widths: the number of columns of each table.
    """
    rows, columns, count = tables.shape
    above, best = np.zeros((2, columns + 1, count))
    ends = np.empty((rows, columns, count), dtype=np.int32)
    place = 2 * np.arange(1, columns + 1, dtype=np.int32)[:, None]
    for i, similarity in enumerate(tables):
        take = above[:-1] + similarity
        _running_maximum(np.maximum(above[1:], take), best[1:])
        skip = np.maximum(above[1:], best[:-1])
        taken = (take >= skip - 1e-12) & (similarity > 0)
        ends[i] = np.where(taken | (above[1:] >= best[:-1]), place + taken, 0)
        _running_maximum(ends[i], ends[i])
        above, best = best, above
    return _paths(ends, widths)


def _running_maximum(values: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the largest of each value and those before it, along the first axis."""
    if values.shape[1] < FEW:
        np.maximum.accumulate(values, axis=0, out=out)
        return
    out[0] = values[0]
    for j in range(1, len(values)):
        np.maximum(out[j - 1], values[j], out=out[j])


def _paths(ends: NDArray[np.int32], widths: Ints) -> Ints:
    """Follow every table from its last cell back, as `align` does.

    `ends` say for each cell at which column, at the cell or before it, a path leaves the row: twice its number from
    one, and one more where it takes the pair there; 0 if nowhere. `(rows, columns, tables)`.
    """
    found = np.full((len(ends), len(widths)), -1, dtype=np.int64)
    tables = np.arange(len(widths))
    column = widths.astype(np.int64)
    for i in reversed(range(len(ends))):
        end = np.where(column > 0, ends[i, column - 1, tables], 0)
        taken = end & 1
        column = end >> 1
        found[i] = np.where(taken, column - 1, -1)
        column -= taken
    return found
