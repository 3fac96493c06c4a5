"""How often a network runs each layer, in how many places: where two networks share layers otherwise, they differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable

from tli_cli.architecture import Architecture


def runs_of(architecture: Architecture) -> Counter[int]:
    """Return in how many places each layer is run. All inputs of the network count as one, so that a branch which two
    of them share is in one place. A norm that code writes out as a scale and a shift is run once."""
    graph, layers = architecture.graph, architecture.layers
    numbers: dict[Hashable, int] = {}
    made: list[int] = []
    found: dict[int, set[int]] = defaultdict(set)
    for node in graph:
        taken = (node.op, node.layer, node.index, *(made[i] for i in node.inputs))
        made.append(numbers.setdefault(taken, len(numbers)))
        goes_on = any(graph[i].layer == node.layer for i in node.inputs)
        if node.layer >= 0 and not (goes_on and layers[node.layer].kind == "norm"):
            found[node.layer].add(made[-1])
    return Counter({place: len(places) for place, places in found.items()})
