"""Rules that add channels and keep the function."""

from __future__ import annotations

import torch

from tli_cli.axes import Importance, MapValues, Take
from tli_cli.plan import AxisMap


def widen(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Repeat the channels in turn; consumers divide by an uneven split that sums to one, so that copies can part in
    training.

    Words behind the rule's name say what runs over the channels: `centred` for a layer norm and `zero` for an RMS
    norm, which cannot be repeated a fractional number of times: the channels left over start at the mean, or at
    zero, and the norm's `weight` makes up for the changed variance (LEMON, arXiv 2310.07999); `query` rescales
    queries for another head width.
    """
    words = axis_map.rule.split()[1:]
    m, n = axis_map.rows, axis_map.columns
    index = torch.arange(m) % n
    if "centred" in words or "zero" in words:
        return _widen_normalised(index, m, n, words, generator)
    share = _shares(index, n, generator)
    copies = torch.bincount(index, minlength=n)[index].double()
    if "query" in words:
        return MapValues(Take(index, (m / n) ** 0.5 / copies), Take(index, share))
    if "tied" in words:
        return MapValues(Take(index, 1.0 / copies))
    return MapValues(Take(index), Take(index, share))


def net2net(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Repeat channels drawn at random and divide evenly among the copies (Net2WiderNet, arXiv 1511.05641)."""
    m, n = axis_map.rows, axis_map.columns
    index = torch.cat([torch.arange(n), torch.randint(0, n, (m - n,), generator=generator)])
    copies = torch.bincount(index, minlength=n)[index].double()
    return MapValues(Take(index), Take(index, 1.0 / copies))


def _shares(index: torch.Tensor, columns: int, generator: torch.Generator) -> torch.Tensor:
    """Return a share for each index, uneven among the copies of one source index, that sum to one over them."""
    draw = 1.0 + torch.rand(len(index), generator=generator, dtype=torch.float64)
    return draw / torch.zeros(columns, dtype=torch.float64).index_add_(0, index, draw)[index]


def _widen_normalised(index: torch.Tensor, m: int, n: int, words: list[str], generator: torch.Generator) -> MapValues:
    whole = (m // n) * n
    extra = torch.arange(m) >= whole
    gain = (whole / m) ** 0.5
    divided = n / whole if "tied" in words else 1.0
    if "weight" in words:
        return MapValues(Take(index, torch.full((m,), gain * divided, dtype=torch.float64)))
    if "bias" in words:
        return MapValues(Take(torch.where(extra, -1, index), torch.full((m,), divided, dtype=torch.float64)))
    share = torch.ones(m, dtype=torch.float64)
    share[:whole] = _shares(index[:whole], n, generator)
    into = Take(index, share)
    if "zero" in words:
        return MapValues(Take(torch.where(extra, -1, index)), into)
    matrix = torch.zeros(m, n, dtype=torch.float64)
    matrix[torch.arange(whole), index[:whole]] = 1.0
    matrix[whole:] = 1.0 / n
    return MapValues(Take(matrix=matrix), into)
