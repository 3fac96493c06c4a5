"""Rules that add channels and keep the function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tli_cli.axis_maps.parting import PHASES, parted
from tli_cli.axis_maps.take import MEAN, MapValues, Read, Take, shares
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws


def widen(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Repeat the channels in turn; consumers divide among copies, each output in its own way, so that these can part.

    Words behind the rule's name say what runs over the channels: `centred` for a layer norm and `zero` for an RMS
    norm, which cannot be repeated a fractional number of times: the channels left over start at the mean, or at
    zero, and the norm's `weight` makes up for the changed variance (LEMON, arXiv 2310.07999), and what reads them
    `raw`, before any norm, reads nothing of those left over; `query` rescales queries for another head width.
    """
    words = axis_map.rule.split()[1:]
    m, n = axis_map.rows, axis_map.columns
    index = np.arange(m) % n
    if "centred" in words or "zero" in words:
        return _widen_normalised(index, m, n, words, draws)
    share = shares(index, n)
    if "query" in words:
        return MapValues(Take(index, (m / n) ** 0.5 * share), Take(index, share), parted(index, n, draws))
    if "tied" in words:
        return MapValues(Take(index, share))
    return MapValues(Take(index), Take(index, share), parted(index, n, draws))


def net2net(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Repeat channels drawn at random and divide evenly among the copies (Net2WiderNet, arXiv 1511.05641)."""
    m, n = axis_map.rows, axis_map.columns
    index = np.concatenate([np.arange(n), draws.integers(n, m - n)])
    return MapValues(Take(index), Take(index, shares(index, n)))


def spread(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Repeat each channel where it stands: keys that fewer queries are to share (GQA, arXiv 2305.13245)."""
    index = np.arange(axis_map.rows) * axis_map.columns // axis_map.rows
    into = Take(index, shares(index, axis_map.columns))
    return MapValues(Take(index), into, parted(index, axis_map.columns, draws))


def _widen_normalised(index: Any, m: int, n: int, words: list[str], draws: Draws) -> MapValues:
    whole = (m // n) * n
    extra = np.arange(m) >= whole
    gain = (whole / m) ** 0.5
    divided = n / whole if "tied" in words else 1.0
    divided *= (m / n) ** 0.5 * n / whole if "query" in words else 1.0
    if "weight" in words:
        return MapValues(Take(index, np.full(m, gain * divided)))
    if "bias" in words:
        return MapValues(Take(np.where(extra, -1, index), np.full(m, divided)))
    share, factors = np.ones(m), np.ones((PHASES, m))
    share[:whole], factors[:, :whole] = shares(index[:whole], n), parted(index[:whole], n, draws)
    share[whole:] = "raw" not in words
    into = Take(index, share)
    made = np.where(extra, -1 if "zero" in words else MEAN, index)
    return MapValues(Take(made, None if divided == 1.0 else np.full(m, divided)), into, factors)
