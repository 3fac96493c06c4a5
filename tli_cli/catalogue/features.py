"""What an architecture is made of, as counts of kinds of names and shapes: by it the nearest one is found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from zlib import crc32

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


def overlap(left: Mapping[int, int], right: Mapping[int, int]) -> float:
    """Return the share of what `left` and `right` have together that they have in common, in [0, 1]."""
    common = sum(min(count, right[key]) for key, count in left.items() if key in right)
    total = sum(left.values()) + sum(right.values()) - common
    return common / total if total else 0.0


def _hashed(text: str) -> int:
    return crc32(text.encode()) & 0xFFFFFF
