"""`matching.alignment.align` without gaps, for many tables side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def align_all(tables: Floats, widths: Ints) -> Ints:
    """Return for each row of each table the column that it is paired with, -1 if none: `(tables, rows)`.

    Args:
        tables: similarities, `(tables, rows, columns)`; columns from a table's width on do not count.
        widths: the number of columns of each table.
    """
    count, rows, columns = tables.shape
    best = np.zeros((rows + 1, count, columns + 1))
    for i in range(rows):
        take = best[i, :, :-1] + tables[:, i]
        np.maximum(best[i, :, 1:], take, out=take)
        np.maximum.accumulate(take, axis=1, out=best[i + 1, :, 1:])
    return _paths(best, tables, widths)


def _paths(best: Floats, tables: Floats, widths: Ints) -> Ints:
    """Follow every table from its last cell back, as `align` does."""
    count, rows, _ = tables.shape
    found = np.full((count, rows), -1, dtype=np.int64)
    table: Any = np.arange(count)
    i, j = np.full(count, rows), widths.astype(np.int64)
    while True:
        going = (i > 0) & (j > 0)
        if not going.all():
            table, i, j = table[going], i[going], j[going]
            if not len(table):
                return found
        similarity = tables[table, i - 1, j - 1]
        take = best[i - 1, table, j - 1] + similarity
        skip_row, skip_column = best[i - 1, table, j], best[i, table, j - 1]
        taken = (take >= np.maximum(skip_row, skip_column) - 1e-12) & (similarity > 0)
        found[table[taken], i[taken] - 1] = j[taken] - 1
        up = taken | (skip_row >= skip_column)
        j = j - (taken | ~up)
        i = i - up
