"""The rule for channels that a rotary embedding turns, each at its own frequency."""

from __future__ import annotations

import numpy as np

from tli_cli.axis_maps.take import MapValues, Read, Take, shares
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws


def rotary(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Put each channel of a half where its frequency is, `base ** (-i / columns)` (RoFormer, arXiv 2104.09864).

    A half of `c` times as many channels has the source's frequencies at every c-th place. Keys are repeated in
    between; queries (`query`) are zero there, so that products stay as they are, and make up for the other
    `1/sqrt(width)`. Values that run over the same channels are repeated like keys. A narrower half keeps the channels
    whose frequencies it has.
    """
    m, n = axis_map.rows, axis_map.columns
    if m < n:
        index, kept = np.arange(m) * n // m, np.ones(m, dtype=bool)
    else:
        places = (np.arange(n) * m + n // 2) // n
        index, kept = np.searchsorted(places, np.arange(m), side="right") - 1, np.zeros(m, dtype=bool)
        kept[places] = True
    into = Take(index, shares(index, n))
    if "query" in axis_map.rule.split():
        return MapValues(Take(np.where(kept, index, -1), np.full(m, (m / n) ** 0.5)), into)
    return MapValues(Take(index), into)


def turned(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Take the channels of a head from one of which the embedding turns others together: `turned pairs` has neighbours
    where the source has the channels of two halves, `turned halves` the other way round.

    Of `turned pairs 8 4` only 8 channels are turned, from the fourth on.
    """
    turned, start = turned_range(axis_map)
    half = turned // 2
    pairs = np.arange(turned).reshape(half, 2)
    order = pairs.T.reshape(-1) if "halves" in axis_map.rule.split() else pairs.reshape(2, half).T.reshape(-1)
    index = np.arange(axis_map.rows)
    index[start : start + turned] = start + order
    return MapValues.both(Take(index))


def turned_range(axis_map: AxisMap) -> tuple[int, int]:
    """Return how many channels of a head are turned, and from which on."""
    words = [int(word) for word in axis_map.rule.split()[1:] if word.isascii() and word.isdecimal()]
    return (words[0], words[1] if len(words) > 1 else 0) if words else (axis_map.rows - axis_map.rows % 2, 0)
