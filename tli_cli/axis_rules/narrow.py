"""Rules that keep some channels and drop the others."""

from __future__ import annotations

import torch

from tli_cli.axes import Importance, MapValues, Take
from tli_cli.plan import AxisMap


def strongest(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Keep the channels that weigh most over all the tensors that carry them, in their order.

    The importance of a coupled group is summed over its members (DepGraph, arXiv 2301.12900).
    """
    weight = importance(axis_map)
    order = torch.argsort(weight, descending=True, stable=True)
    return _keep(order[: axis_map.rows].sort().values)


def even(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Keep evenly spaced channels."""
    spaced = (torch.arange(axis_map.rows).double() + 0.5) * axis_map.columns / axis_map.rows
    return _keep(spaced.long())


def _keep(index: torch.Tensor) -> MapValues:
    return MapValues(Take(index), Take(index))
