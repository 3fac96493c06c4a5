"""What an architecture is made of, as counts of kinds of names and shapes: by it the nearest one is found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import numpy as np

from tli_cli.architecture import TensorSpec

_NUMBER = re.compile(r"\d+")


def features(tensors: Iterable[TensorSpec]) -> Counter[int]:
    """Return how often each name without its numbers occurs, and each last part of a name with its shape.

    Vectors count by name alone: their sizes repeat those of the matrices beside them.
    """
    counted: Counter[int] = Counter()
    for tensor in tensors:
        if len(tensor.shape) == 0:
            continue
        counted[_hashed(_NUMBER.sub("#", tensor.name))] += 1
        if len(tensor.shape) > 1:
            counted[_hashed(f"{tensor.name.rpartition('.')[2]} {tensor.shape}")] += 1
    return counted


def elements(tensors: Iterable[TensorSpec]) -> int:
    """Return how many numbers the tensors hold."""
    return sum(tensor.size for tensor in tensors)


class Features:
    """The features of many architectures, compared with one's at once."""

    def __init__(self, numbers: Any) -> None:
        count = int(numbers[0])
        lengths, self.elements = numbers[1 : 1 + count], numbers[1 + count : 1 + 2 * count]
        self._keys, self._counts = np.split(numbers[1 + 2 * count :], 2)
        self._starts = np.cumsum(lengths) - lengths
        self._totals = np.add.reduceat(self._counts, self._starts)

    def overlaps(self, counted: Mapping[int, int]) -> Any:
        """Return the share of what each architecture and `counted` have together that they have in common, in [0, 1],
        of shape `(architectures,)`."""
        keys = np.array(sorted(counted), dtype=np.int64)
        counts = np.array([counted[key] for key in sorted(counted)], dtype=np.int64)
        if not len(keys):
            return np.zeros(len(self._totals))
        place = np.searchsorted(keys, self._keys).clip(max=len(keys) - 1)
        shared = np.where(keys[place] == self._keys, np.minimum(counts[place], self._counts), 0)
        common = np.add.reduceat(shared, self._starts)
        return common / (self._totals + counts.sum() - common)


def _hashed(text: str) -> int:
    return crc32(text.encode()) & 0xFFFFFF
