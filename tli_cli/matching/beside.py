"""Last layers that stand side by side, such as the boxes and the classes of a detector: nothing but how much each gives
tells them apart, for no order is theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.units import Unit


def heads_beside(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for heads that give as much, where each side has one set of them, all of which
    read one value and no two of which give as much."""
    if not both_known(source, target):
        return
    mine, theirs = _sets(target), _sets(source)
    if len(mine) == len(theirs) == 1:
        yield from ((head, theirs[0][size]) for size, head in mine[0].items() if size in theirs[0])


def _sets(side: Side) -> list[dict[int, Unit]]:
    """Return the one set of last layers that read one value, by what each gives; none where two give as much, or where
    there are several sets."""
    places = _last(side)
    found: dict[tuple[int, ...], list[Unit]] = defaultdict(list)
    for unit in side.units:
        if unit.kind in WEIGHTED and unit.place in places:
            found[places[unit.place]].append(unit)
    sets = [heads for heads in found.values() if len(heads) > 1]
    by_size = [{_given(head): head for head in heads} for heads in sets]
    return by_size if len(sets) == 1 and len(by_size[0]) == len(sets[0]) else []


def _last(side: Side) -> dict[int, tuple[int, ...]]:
    """Return what each layer reads that no other layer comes behind, by its place."""
    graph, readers = side.architecture.graph, side.architecture.readers
    leads = [False] * len(graph)
    for i in reversed(range(len(graph))):
        leads[i] = any(graph[j].layer >= 0 or leads[j] for j in readers[i])
    return {node.layer: node.inputs for i, node in enumerate(graph) if node.layer >= 0 and not leads[i]}


def _given(head: Unit) -> int:
    return head.shape[0] if len(head.shape) > 1 else 1
