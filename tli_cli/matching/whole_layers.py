"""Layers that a graph or a name cuts in parts: whole, where the other side holds as many of them uncut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tli_cli.grouping import grouped
from tli_cli.matching.parts import PART_ROLES
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Unit

NAMED = {role for roles in PART_ROLES.values() for role in roles}
"""What parts are called that the other side may hold as layers of their own."""


def with_whole_layers(source: Side, target: Side) -> tuple[Side, Side]:
    """Return both sides, of which one has no graph, with cut layers as one unit where the other side has as many more
    units of that shape, or the layer of that path whole: the parts of a layer that feeds gates, say, which names do not
    tell. Queries, keys and values stay apart where there are as many layers of their shape, or such that are called so.
    """
    return _uncut(source, target), _uncut(target, source)


def _uncut(side: Side, other: Side) -> Side:
    parts = grouped((unit for unit in side.units if unit.part >= 0), lambda unit: unit.place)
    wholes = {place: whole(found) for place, found in parts.items() if _is_plain(found)}
    mine, theirs = Counter(u.shape for u in side.units), Counter(u.shape for u in other.units)
    lacking = _whole_shapes(other) - _whole_shapes(side)
    several = Counter(unit.shape for unit in wholes.values())
    called = {(unit.role, unit.shape) for unit in other.units if unit.role in NAMED}
    spare = {
        place
        for place, found in parts.items()
        if not _are_named(found)
        or (mine[found[0].shape] > theirs[found[0].shape] and called.isdisjoint((u.role, u.shape) for u in found))
    }
    uncut = {unit.path for unit in other.units if unit.part < 0}
    lacked = {p for p, unit in wholes.items() if unit.path in uncut or lacking[unit.shape] >= several[unit.shape]}
    chosen = [unit for place, unit in wholes.items() if place in spare & lacked]
    return side.of(with_whole(side.units, chosen)) if chosen else side


def with_whole(units: Sequence[Unit], wholes: Sequence[Unit]) -> tuple[Unit, ...]:
    """Return `units` with the parts of layers that stand in `wholes` as those."""
    chosen = {unit.place: unit for unit in wholes}
    return tuple(chosen.get(unit.place, unit) for unit in units if unit.place not in chosen or unit.part <= 0)


def _whole_shapes(side: Side) -> Counter[tuple[int, ...]]:
    return Counter(unit.shape for unit in side.units if unit.part < 0)


def _is_plain(parts: Sequence[Unit]) -> bool:
    """Tell whether parts are all of a layer and lie end to end along its first axis."""
    return all(part.dim == 0 for part in parts) and parts[0].parts == len(parts)


def _are_named(parts: Sequence[Unit]) -> bool:
    return any(part.role.removeprefix("cross_") in NAMED for part in parts)


def whole(parts: Sequence[Unit]) -> Unit:
    """Return the layer that `parts` are all of as one unit."""
    first = parts[0]
    shape = (sum(part.shape[0] for part in parts), *first.shape[1:])
    return replace(first, part=-1, parts=1, shape=shape, role="" if _are_named(parts) else first.role)
