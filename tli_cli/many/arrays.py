"""Values as numbers, rows of different lengths and bags as arrays, and alignments of many tables side by side."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tli_cli.matching.bags import Bag

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
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


class Numbering:
    """Numbers for what is equal, in the order in which it was first seen."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, value: Hashable) -> int:
        """Return the number of `value`."""
        return self._numbers.setdefault(value, len(self._numbers))


CELLS = 1 << 19
"""How many cells of tables are worked on at once."""


class Bags:
    """Bags as arrays: which of them hold a label, and how often."""

    def __init__(self, bags: Sequence[Bag]) -> None:
        self._bags = bags
        self._total = np.array([bag.total for bag in bags], dtype=np.int64)
        numbers = Numbering()
        listed: list[tuple[list[int], list[int]]] = []
        for i, bag in enumerate(bags):
            for label, count in bag.counts.items():
                if numbers.of(label) == len(listed):
                    listed.append(([], []))
                listed[numbers.of(label)][0].append(i)
                listed[numbers.of(label)][1].append(count)
        self._numbers = numbers
        self._holders = [(np.array(holders), np.array(counts)) for holders, counts in listed]

    def overlap(self, bag: int) -> Floats:
        """Return `overlap` of one bag with every bag: `(bags,)`."""
        shared = np.zeros(len(self._bags), dtype=np.int64)
        for label, count in self._bags[bag].counts.items():
            holders, counts = self._holders[self._numbers.of(label)]
            shared[holders] += np.minimum(counts, count)
        total = self._total + self._total[bag]
        return np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)


def ragged(rows: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """Return rows of different lengths as one array, filled up with 0, and their lengths."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table = np.zeros((len(rows), max(int(lengths.max(initial=0)), 1)), dtype=np.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table, lengths


def alike(lengths: Ints, rows: int) -> Iterator[Ints]:
    """Yield the places of `lengths` in groups of like length whose tables of so many `rows` fit in memory together."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        shortest = int(lengths[order[start]])
        stop = int(np.searchsorted(lengths[order], max(2 * shortest, 4), side="right"))
        stop = min(stop, start + max(CELLS // max(rows * max(2 * shortest, 4), 1), 1))
        yield order[start:stop]
        start = stop
