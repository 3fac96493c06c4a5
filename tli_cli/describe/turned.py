"""Which layers make channels that a rotary embedding turns: two parts of them meet again in a sum or side by side."""

from __future__ import annotations

from functools import lru_cache

from tli_cli.architecture import Architecture, Node

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


def turned_trees(architecture: Architecture) -> set[object]:
    """Return the sums of two equal halves that are turned, among the axes of the layers that make them."""
    found: set[object] = set()
    for place, _ in turned_layers(architecture.graph):
        for _, name in architecture.layers[place].tensors:
            for axis in architecture.axes.get(name, ()):
                found |= set() if axis.contracted else set(halves(axis.tree))
    return found


def halves(tree: object) -> list[object]:
    """Return the sums within `tree` that hold the same channels twice."""
    if not isinstance(tree, tuple):
        return []
    own = [tree] if tree[0] == "+" and any(tree[1:].count(child) == 2 for child in tree[1:]) else []
    return own + [found for child in tree[1:] for found in halves(child)]
