"""Tables of positions that one network adds and the other does not: it adds waves that code works out, or none."""

from __future__ import annotations

from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.units import Unit


def without_lone_tables(source: Side, target: Side) -> tuple[Side, Side]:
    """Return both sides without the tables that are added on one of them alone: nothing feeds them, and what stands
    behind them is what it is without them."""
    if not both_known(source, target):
        return source, target
    mine, theirs = _alone(target, source), _alone(source, target)
    return source.without(theirs), target.without(mine)


def _alone(side: Side, other: Side) -> list[Unit]:
    """Return the tables that `side` adds, where the other network adds none, nor looks up one more that is for them."""
    added = [unit for unit in side.units if side.architecture.layers[unit.place].is_added]
    tables, others = ([unit for unit in s.units if unit.kind in ("embedding", "position")] for s in (side, other))
    adds = any(other.architecture.layers[unit.place].is_added for unit in others)
    return [] if adds or len(others) > len(tables) - len(added) else added
