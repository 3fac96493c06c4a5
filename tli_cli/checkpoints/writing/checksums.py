"""Checksums of parts of a file, from what is seen of it while it is written: in any order, by several threads."""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
"""The polynomial 1: the highest bit stands for the power 0."""


class Checksums:
    """CRC-32 of each of the `spans` of a file, given as start and length; spans do not overlap."""

    def __init__(self, spans: Mapping[int, int]) -> None:
        self._spans = dict(spans)
        self._starts = sorted(start for start, length in spans.items() if length)
        self._seen: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    def see(self, position: int, data: memoryview) -> None:
        """Take note of `data`, which stands at `position` of the file."""
        end = position + len(data)
        for i in range(max(0, bisect_right(self._starts, position) - 1), bisect_left(self._starts, end)):
            start = self._starts[i]
            first, last = max(start, position), min(start + self._spans[start], end)
            if first < last:
                self._seen[start].append((first, last - first, zlib.crc32(data[first - position : last - position])))

    def of(self, start: int) -> int:
        """Return the checksum of the span that begins at `start`, all of which has been seen."""
        checksum = 0
        for _, length, part in sorted(self._seen[start]):
            checksum = joined(checksum, part, length)
        return checksum


def joined(first: int, second: int, length: int) -> int:
    """Return the CRC-32 of bytes with the checksum `first` and, behind them, `length` bytes with the checksum `second`.

    Source: zlib's `crc32_combine` (Mark Adler).
    """
    return _product(_power(8 * length), first) ^ second


@lru_cache(maxsize=1024)
def _power(exponent: int) -> int:
    """Return x to the power of `exponent`, modulo the polynomial."""
    result, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            result = _product(square, result)
        square = _product(square, square)
        exponent >>= 1
    return result


def _product(a: int, b: int) -> int:
    """Return the product of two polynomials, modulo the polynomial."""
    result = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            result ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return result
