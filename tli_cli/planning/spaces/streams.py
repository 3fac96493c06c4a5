"""Where a residual stream is used as it is, not through its norm, or not written as layers make it."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.architecture import LINEAR, Architecture, AxisTree, Layer, Node
from tli_cli.describe.walks import walked
from tli_cli.matching.settings import ACTIVATIONS

PASSING = ("scale", "bias")
"""Kinds of layers that act on each channel alone."""


def raw_readers(architecture: Architecture) -> set[str]:
    """Return the paths of the layers that sum over channels with no norm before them.

    What stands at the mean of the other channels is zero behind their norm, but nowhere else.
    """
    found: set[str] = set()
    for node in architecture.graph:
        layer = architecture.layers[node.layer] if node.layer >= 0 else None
        if layer is not None and layer.kind in LINEAR:
            before = (_made_by(architecture, index) for index in node.inputs)
            found |= {layer.path} if any(made is None or made.kind != "norm" for made in before) else set()
    return found


def used_as_they_are(architecture: Architecture) -> set[AxisTree]:
    """Return the spaces of norms whose output is added to something or goes into another norm."""
    found: set[AxisTree] = set()
    for node in architecture.graph:
        normalises = node.layer >= 0 and architecture.layers[node.layer].kind == "norm"
        for before in (_made_by(architecture, index) for index in node.inputs):
            if before is not None and before.kind == "norm" and (node.op == "add" or normalises):
                found |= _trees(architecture, before)
    return found


UNLIKE = frozenset({*ACTIVATIONS, "mul", "glu", "max_pool", "amax", "max", "exp", "cos", "sin"})
"""Operations behind which the mean of the channels is no longer that of their values."""


def bent_streams(architecture: Architecture, operations: Collection[str] = UNLIKE) -> set[AxisTree]:
    """Return the spaces of layer and RMS norms that take values which one of `operations` has made, and no layer
    since."""
    found: set[AxisTree] = set()
    graph = architecture.graph

    def passes(index: int) -> bool:
        place = graph[index].layer
        return place < 0 or architecture.layers[place].kind in (*PASSING, "position")

    for node in graph:
        layer = architecture.layers[node.layer] if node.layer >= 0 else None
        if layer is None or layer.attribute("norm") not in ("layer", "rms"):
            continue
        behind = walked(node.inputs, lambda i: graph[i].inputs if passes(i) else ())
        if any(graph[i].op in operations and passes(i) for i in behind):
            found |= _trees(architecture, layer)
    return found


def _made_by(architecture: Architecture, index: int) -> Layer | None:
    """Return the layer whose output reaches node `index` through activations and scales alone; None behind a join."""
    node: Node = architecture.graph[index]
    while len(node.inputs) == 1 and (node.layer < 0 or architecture.layers[node.layer].kind in PASSING):
        node = architecture.graph[node.inputs[0]]
    return architecture.layers[node.layer] if node.layer >= 0 else None


def _trees(architecture: Architecture, layer: Layer) -> set[AxisTree]:
    """Return the trees of the weight's axes, and the innermost factors of those that are products."""
    trees = set(architecture.made(layer.tensor("weight")))
    return trees | {tree[-1] for tree in trees if isinstance(tree, tuple) and tree[0] == "*"}
