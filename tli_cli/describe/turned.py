"""Which layers make channels that a rotary embedding turns: two parts of them meet again in a sum or side by side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from tli_cli.architecture import Architecture, AxisTree, Node

REACH = 8


@lru_cache(maxsize=8)
def turned_layers(graph: tuple[Node, ...]) -> frozenset[tuple[int, bool]]:
    """Return the layers, by place, of which two halves are added or laid end to end again (RoFormer, arXiv 2104.09864),
    with whether they are cut themselves, and not a part or a norm of what they make.

    The parts of a fused projection go different ways.
    """
    found: set[tuple[int, bool]] = set()
    for node in graph:
        if node.op not in ("add", "cat"):
            continue
        parts = [graph[i] for i in node.inputs if graph[i].op == "part"]
        cut = {part.inputs[0] for part in parts}
        if len(parts) == len(node.inputs) == 2 and len(cut) == 1 and parts[0].index != parts[1].index:
            start = cut.pop()
            found.add((_layer_behind(graph, start), graph[start].layer >= 0))
    return frozenset(entry for entry in found if entry[0] >= 0)


def _layer_behind(graph: tuple[Node, ...], start: int) -> int:
    for _ in range(REACH):
        node = graph[start]
        if node.layer >= 0 or not node.inputs:
            return node.layer
        start = node.inputs[0]
    return -1


def turned_channels(architecture: Architecture) -> set[AxisTree]:
    """Return the channels of which a sum holds two parts that are turned, or a product two of each, by the axes of the
    layers that make them."""
    found: set[AxisTree] = set()
    for place, _ in turned_layers(architecture.graph):
        for _, name in architecture.layers[place].tensors:
            for axis in architecture.axes.get(name, ()):
                found |= set() if axis.contracted else set(_twice(architecture, axis.tree))
    return found


def repeated(tree: AxisTree) -> Iterator[AxisTree]:
    """Yield the channels of which the sum `tree` holds two parts side by side, and no more."""
    if isinstance(tree, tuple) and tree[0] == "+":
        yield from (first for first, second in pairwise(tree[1:]) if first == second and tree.count(first) == 2)


def _twice(architecture: Architecture, tree: AxisTree) -> Iterator[AxisTree]:
    """Yield the channels of which a sum within `tree` holds two parts side by side, or a product two of each."""
    if isinstance(tree, tuple):
        if tree[0] == "+":
            yield from (first for first, second in pairwise(tree[1:]) if first == second)
        elif isinstance(tree[-1], int) and architecture.size_of(tree[-1]) == 2:
            yield tree[-2]
        for child in tree[1:]:
            yield from _twice(architecture, child)
