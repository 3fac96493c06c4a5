"""Which layer last shapes the queries of an attention: it makes up for another width of the heads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tli_cli.architecture import Architecture
from tli_cli.matching.units import Unit

LINEAR = ("conv", "linear")
PASSING = ("part", "add", "cat", "mul")
"""What may stand between a projection and the product: the turns of a rotary embedding."""
REACH = 24

Key = tuple[int, int]


def query_makers(architecture: Architecture, units: Collection[Unit]) -> set[Key]:
    """Return the keys of the units that make queries, by the graph, or by their roles where there is none.

    A norm of the queries stands for the projection before it, whose scale it takes away. Where an activation stands in
    between, as in linear attention, nothing scales the product by the heads' width.
    """
    if not architecture.graph:
        return {unit.key for unit in units if unit.role == "q"}
    return set(_found(architecture, {unit.key for unit in units}))


def _found(architecture: Architecture, keys: Collection[Key]) -> Iterator[Key]:
    graph = architecture.graph
    for node in graph:
        if node.op == "softmax" and node.inputs:
            scores = _back_to_product(architecture, node.inputs[0])
            made = _maker(architecture, graph[scores].inputs[0], keys) if scores >= 0 else None
            if made is not None:
                yield made


def _back_to_product(architecture: Architecture, start: int) -> int:
    """Return the product of queries and keys before a softmax, through added biases; -1 if there is none."""
    for _ in range(REACH):
        node = architecture.graph[start]
        if node.op == "matmul" and len(node.inputs) == 2:
            return start
        if not node.inputs or node.op not in ("add", "mul", "part", "layer"):
            return -1
        start = node.inputs[0]
    return -1


def _maker(architecture: Architecture, start: int, keys: Collection[Key]) -> Key | None:
    for _ in range(REACH):
        node = architecture.graph[start]
        kind = architecture.layers[node.layer].kind if node.layer >= 0 else ""
        if kind in LINEAR or kind == "norm":
            return (node.layer, -1) if (node.layer, -1) in keys else None
        if not node.inputs:
            return None
        before = architecture.graph[node.inputs[0]]
        if node.op == "part" and (before.layer, node.index) in keys:
            return before.layer, node.index
        if node.op not in PASSING and not kind:
            return None
        start = node.inputs[0]
    return None
