"""Tables of positions that one network adds and the other does not: it adds waves that code works out, or none."""

from __future__ import annotations

from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.units import Unit

SAME = 0.75
"""The least share of layers with weights whose shapes both have, for two to be one network with another table."""


def without_lone_tables(source: Side, target: Side) -> tuple[Side, Side]:
    """Return both sides, where they may be one network, without the tables that are added on one of them alone: nothing
    feeds them, and what stands behind them is what it is without them."""
    shared, most = (source.shapes & target.shapes).total(), max(source.weighted, target.weighted)
    if not both_known(source, target) or shared < SAME * most:
        return source, target
    mine, theirs = _alone(target, source), _alone(source, target)
    return source.without(theirs), target.without(mine)


def added_tables(side: Side) -> list[Unit]:
    """Return the tables of positions that `side` adds."""
    return [unit for unit in side.units if side.architecture.layers[unit.place].is_added]


def _alone(side: Side, other: Side) -> list[Unit]:
    """Return the tables that `side` adds, where the other network adds none, nor looks up one more that is for them."""
    added = added_tables(side)
    tables, others = ([unit for unit in s.units if unit.kind in ("embedding", "position")] for s in (side, other))
    return [] if added_tables(other) or len(others) > len(tables) - len(added) else added
