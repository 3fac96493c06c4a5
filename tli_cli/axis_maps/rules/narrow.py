"""Rules that keep some channels and drop the others."""

from __future__ import annotations

import numpy as np

from tli_cli.axis_maps.importance import group_importance
from tli_cli.axis_maps.take import MapValues, Read, Take
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws


def strongest(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Keep the channels that weigh most over all the tensors that carry them, in their order.

    The importance of a coupled group is summed over its members (DepGraph, arXiv 2301.12900).
    """
    order = np.argsort(-group_importance(axis_map, read), kind="stable")
    return MapValues.both(Take(np.sort(order[: axis_map.rows])))


def even(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Keep evenly spaced channels."""
    spaced = (np.arange(axis_map.rows) + 0.5) * axis_map.columns / axis_map.rows
    return MapValues.both(Take(spaced.astype(np.int64)))
