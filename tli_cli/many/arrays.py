"""Values as numbers, and rows of different lengths and bags as arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tli_cli.matching.bags import Bag

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
