"""Rules that follow from the sizes alone."""

from __future__ import annotations

import torch

from tli_cli.axes import Importance, MapValues, Take
from tli_cli.plan import AxisMap


def same(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Leave every index where it is."""
    return MapValues()


def none(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Take nothing: the target's channels start at zero, the source's are dropped."""
    take = Take(torch.full((axis_map.rows,), -1, dtype=torch.int64))
    return MapValues(take, take)


def rows(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Take rows by their index as far as the source has them."""
    index = torch.arange(axis_map.rows)
    take = Take(torch.where(index < axis_map.columns, index, -1))
    return MapValues(take, take)


def kernel(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Keep the centre of a kernel: zeros around it when it grows, its rim cut off when it shrinks (FNA, arXiv
    2001.02525)."""
    index = torch.arange(axis_map.rows) + (axis_map.columns - axis_map.rows + (axis_map.columns < axis_map.rows)) // 2
    take = Take(torch.where((index >= 0) & (index < axis_map.columns), index, -1))
    return MapValues(take, take)


def input_channels(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Repeat input channels in turn and divide each by its copies, or fold the surplus ones onto the kept ones by
    summing.

    The response to a grey image, and to the source's channels repeated in turn, is kept; for one channel or a
    multiple of the source's this is what timm's `adapt_input_conv` does.
    """
    m, n = axis_map.rows, axis_map.columns
    matrix = torch.zeros(m, n, dtype=torch.float64)
    if m >= n:
        index = torch.arange(m) % n
        matrix[torch.arange(m), index] = 1.0 / torch.bincount(index, minlength=n)[index].double()
    else:
        matrix[torch.arange(n) % m, torch.arange(n)] = 1.0
    return MapValues(Take(matrix=matrix), Take(matrix=matrix))
