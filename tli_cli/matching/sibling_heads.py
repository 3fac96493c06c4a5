"""Last layers that stand side by side, such as the boxes and the classes of a detector: nothing but how much each gives
tells them apart, for no order is theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tli_cli.architecture import Architecture
from tli_cli.grouping import grouped
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.units import Unit

Heads = Mapping[int, Unit]
"""Last layers that read one value, by how much each gives."""


def heads_beside(source: Heads, target: Heads) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for heads that give as much."""
    yield from ((head, source[size]) for size, head in target.items() if size in source)


def heads_of(architecture: Architecture, units: Sequence[Unit]) -> Heads:
    """Return the last layers among `units` that read one value, by how much each gives; none where no graph is known,
    where two give as much, or where several values have such readers."""
    places = _last(architecture)
    last = (unit for unit in units if unit.kind in WEIGHTED and unit.place in places)
    sets = [heads for heads in grouped(last, lambda unit: places[unit.place]).values() if len(heads) > 1]
    by_size = {head.shape[0] if len(head.shape) > 1 else 1: head for heads in sets for head in heads}
    return by_size if len(sets) == 1 and len(by_size) == len(sets[0]) else {}


def _last(architecture: Architecture) -> dict[int, tuple[int, ...]]:
    """Return what each layer reads that no other layer comes behind, by its place."""
    graph, readers = architecture.graph, architecture.readers
    leads = [False] * len(graph)
    for i in reversed(range(len(graph))):
        leads[i] = any(graph[j].layer >= 0 or leads[j] for j in readers[i])
    return {node.layer: node.inputs for i, node in enumerate(graph) if node.layer >= 0 and not leads[i]}
