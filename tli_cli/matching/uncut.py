"""Layers that a graph shows to be cut in parts for which there are no words: whole, where the other side knows of no
cut."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tli_cli.matching.sides import Side
from tli_cli.matching.units import PART_ROLES, Unit

NAMED = {role for roles in PART_ROLES.values() for role in roles}


def with_whole_layers(source: Side, target: Side) -> tuple[Side, Side]:
    """Return both sides, of which one has no graph, with cut layers as one unit where the other side has as many more
    units of that shape: the parts of a layer that feeds gates, say, which names do not tell."""
    return _uncut(source, target), _uncut(target, source)


def _uncut(side: Side, other: Side) -> Side:
    if not side.architecture.graph:
        return side
    parts: dict[int, list[Unit]] = defaultdict(list)
    for unit in side.units:
        if unit.part >= 0:
            parts[unit.place].append(unit)
    wholes = {place: _whole(found) for place, found in parts.items() if _is_plain(found)}
    lacking = _shapes(other) - _shapes(side)
    several = Counter(unit.shape for unit in wholes.values())
    chosen = {place: unit for place, unit in wholes.items() if lacking[unit.shape] >= several[unit.shape]}
    if not chosen:
        return side
    units = [chosen.get(unit.place, unit) for unit in side.units if unit.place not in chosen or unit.part == 0]
    return side.of(units)


def _shapes(side: Side) -> Counter[tuple[int, ...]]:
    return Counter(unit.shape for unit in side.units if unit.part < 0)


def _is_plain(parts: Sequence[Unit]) -> bool:
    """Tell whether parts lie end to end along the first axis and have no names of their own."""
    return all(p.dim == 0 and p.role.removeprefix("cross_") not in NAMED for p in parts) and parts[0].parts == len(
        parts
    )


def _whole(parts: Sequence[Unit]) -> Unit:
    first = parts[0]
    return replace(first, part=-1, parts=1, shape=(sum(part.shape[0] for part in parts), *first.shape[1:]))
