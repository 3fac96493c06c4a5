"""Tables of positions that one network adds and the other does not: it adds waves that code works out, or none."""

from __future__ import annotations

from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.units import Unit


def without_lone_tables(source: Side, target: Side) -> tuple[Side, Side]:
    """Return both sides without the tables that are added on one of them alone: nothing feeds them, and what stands
    behind them is what it is without them."""
    mine, theirs = _added(target), _added(source)
    if not both_known(source, target) or bool(mine) == bool(theirs):
        return source, target
    return source.without(theirs), target.without(mine)


def _added(side: Side) -> list[Unit]:
    return [unit for unit in side.units if side.architecture.layers[unit.place].is_added]
