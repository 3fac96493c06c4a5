"""Rows that are listed one by one."""

from __future__ import annotations

from tli_cli.axis_maps.listing import parsed
from tli_cli.axis_maps.take import MapValues, Read, Take
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws


def tokens(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Take the rows of the same tokens; those of tokens that the source lacks are the mean of their pieces (fast
    vocabulary transfer, arXiv 2402.09977)."""
    index, mixed = parsed(axis_map.listing, axis_map.rows, axis_map.columns)
    take = Take(index, mixed=mixed)
    return MapValues(take, take)
