"""Which of many hold a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tli_cli.many.alignments import Ints


class Holders:
    """Who holds each number, for the numbers that more than one holds."""

    def __init__(self, held: Sequence[Ints]) -> None:
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *held])
        order = np.argsort(numbers, kind="stable")
        holders = np.repeat(np.arange(len(held)), [len(own) for own in held])[order]
        different, start, count = np.unique(numbers[order], return_index=True, return_counts=True)
        shared = count > 1
        self._numbers, self._start, self._count = different[shared], start[shared], count[shared]
        self._holders = holders

    def of(self, numbers: Ints) -> Ints:
        """Return all holders of any of `numbers`, some of them several times."""
        if not len(self._numbers):
            return np.zeros(0, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        at = at[self._numbers[at] == numbers]
        parts = [self._holders[a : a + n] for a, n in zip(self._start[at], self._count[at], strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
