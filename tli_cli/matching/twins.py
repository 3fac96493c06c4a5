"""Pairs without a graph: where both sides hold the same shapes, as one network under two sets of names does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

from tli_cli.matching.sides import Side
from tli_cli.matching.units import Unit

ALIKE = 0.9
"""The share of units whose shape must be as frequent on the other side for the two to count as one network."""


def twins(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for units of one shape, by role where both sides know it, else in order.

    Nothing if both sides have a graph, which tells more, or if they are not the same network.
    """
    if source.architecture.graph and target.architecture.graph:
        return
    mine, theirs = _by_shape(source), _by_shape(target)
    common = [shape for shape, units in theirs.items() if len(units) == len(mine.get(shape, ()))]
    covered = sum(len(theirs[shape]) for shape in common)
    if covered < ALIKE * max(_count(mine), _count(theirs), 1):
        return
    for shape in common:
        yield from _pair(theirs[shape], mine[shape])


def _count(grouped: Mapping[Hashable, Sequence[Unit]]) -> int:
    return sum(len(units) for units in grouped.values())


def _by_shape(side: Side) -> dict[Hashable, list[Unit]]:
    """Return the units by shape, and by whether they hold running statistics; what a constructor computes left out."""
    grouped: dict[Hashable, list[Unit]] = defaultdict(list)
    for unit in side.units:
        if unit.kind == "other":
            continue
        layer = side.architecture.layers[unit.place]
        grouped[unit.shape, layer.tensor("running_mean") is not None].append(unit)
    return grouped


def _pair(targets: Sequence[Unit], sources: Sequence[Unit]) -> Iterator[tuple[Unit, Unit]]:
    """Pair units of one shape: those of a role that is as frequent on both sides, and then the rest, each in order."""
    wanted, offered = Counter(t.role for t in targets), Counter(s.role for s in sources)
    told = {role for role, count in wanted.items() if role and offered[role] == count}
    for role in [*sorted(told), None]:
        mine = [s for s in sources if (s.role if s.role in told else None) == role]
        theirs = [t for t in targets if (t.role if t.role in told else None) == role]
        yield from zip(theirs, mine, strict=True)
