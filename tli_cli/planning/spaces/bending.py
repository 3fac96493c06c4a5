"""Where code and layers change the values of a stream so that the mean of its channels is none of them, or nothing is
something."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from math import prod

from tli_cli.architecture import LINEAR, Architecture, AxisTree, Layer, Node
from tli_cli.describe.spaces import leaves
from tli_cli.describe.walks import walked
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.planning.identity import NOT_ZERO, is_lifted

PASSING = ("scale", "bias")
"""Kinds of layers that act on each channel alone."""


def acts_alone(architecture: Architecture, layer: Layer) -> bool:
    """Tell whether a norm takes each channel for itself."""
    channels = prod(map(architecture.size_of, (axis.tree for axis in architecture.weight_axes(layer))))
    return layer.attribute("norm") == "batch" or layer.averages == channels


def raw_readers(architecture: Architecture) -> set[str]:
    """Return the paths of the layers that sum over channels with no norm before them, or with something in between that
    gives something for nothing.

    What stands at the mean of the other channels is zero behind their norm, but nowhere else.
    """
    readers = (node for node, kind in zip(architecture.graph, architecture.kinds, strict=True) if kind in LINEAR)
    raw = (node for node in readers if any(not _is_zero_at_mean(architecture, index) for index in node.inputs))
    return {architecture.layers[node.layer].path for node in raw}


def _is_zero_at_mean(architecture: Architecture, index: int) -> bool:
    """Tell whether a norm makes the value of a node, and nothing since gives something for nothing."""
    made = made_by(architecture, index)
    if made is None or made.kind != "norm" or is_lifted(made):
        return False
    graph, kinds = architecture.graph, architecture.kinds
    passed = walked([index], lambda i: graph[i].inputs if kinds[i] != "norm" else ())
    return not any(graph[i].op in NOT_ZERO or kinds[i] == "bias" for i in passed)


def used_as_they_are(architecture: Architecture) -> set[AxisTree]:
    """Return the spaces of norms whose output is added to something or goes into another norm over channels, perhaps
    with more."""
    found: set[AxisTree] = set()
    norms: list[frozenset[int]] = []
    for index, (node, kind) in enumerate(zip(architecture.graph, architecture.kinds, strict=True)):
        taken = frozenset[int]().union(*(norms[i] for i in node.inputs))
        trees = {place: _trees(architecture, architecture.layers[place]) for place in taken}
        averages = kind == "norm" and not acts_alone(architecture, architecture.layers[node.layer])
        if node.op == "add" or averages:
            found = found.union(*trees.values())
        kept = (place for place in taken if node.op != "matmul" and _keeps(architecture, trees[place], index))
        norms.append(frozenset({node.layer} if kind == "norm" else kept))
    return found


BENDING = frozenset({
    *ACTIVATIONS, *NOT_ZERO, "abs", "amax", "atan", "atan2", "clamp", "erf", "expm1", "glu", "hypot", "log", "log1p",
    "max", "max_pool", "maximum", "minimum", "own", "pow", "sin", "sqrt", "where",
})  # fmt: skip
"""Operations, in the graph or as code has them, behind which the mean of the channels is none of their values."""
UNLIKE = BENDING | {"mul"}
"""The same of the graph, where a product is one of two values."""


def _is_bent(layer: Layer) -> bool:
    """Tell whether code behind a layer, up to the next one, changes values otherwise than by one line for all."""
    return any(number[0] in BENDING for number in layer.numbers)


def bent_streams(
    architecture: Architecture,
    operations: Collection[str] = UNLIKE,
    coded: Callable[[Layer], bool] = _is_bent,
    mixing: Callable[[Layer], bool] = lambda layer: False,
) -> set[AxisTree]:
    """Return the spaces of layer and RMS norms whose values one of `operations` has made, or code that is told by the
    layer before it, and no layer since but such as sum over places alone, of which none is to be `mixing`."""
    found: set[AxisTree] = set()
    graph = architecture.graph
    for node in graph:
        layer = architecture.layers[node.layer] if node.layer >= 0 else None
        if layer is None or layer.attribute("norm") not in ("layer", "rms"):
            continue
        reached = _behind(architecture, node, _trees(architecture, layer))
        changed = any(graph[i].op in operations or (made and mixing(made)) for i, made, keeps in reached if keeps)
        if changed or any(made and coded(made) for _, made, _ in reached):
            found |= _trees(architecture, layer)
    return found


def _behind(
    architecture: Architecture, node: Node, channels: Collection[AxisTree]
) -> list[tuple[int, Layer | None, bool]]:
    """Return the nodes that make what a node takes, with their layers, and whether each leaves `channels` what they
    are: those that do, and those before them."""
    graph = architecture.graph
    keeps = partial(_keeps, architecture, channels)
    found = walked(node.inputs, lambda i: graph[i].inputs if keeps(i) else ())
    return [(i, architecture.layers[graph[i].layer] if graph[i].layer >= 0 else None, keeps(i)) for i in found]


def adds_bias(layer: Layer) -> bool:
    """Tell whether a linear map adds the same to all that it makes."""
    return layer.kind in LINEAR and layer.tensor("bias") is not None


def _keeps(architecture: Architecture, channels: Collection[AxisTree], index: int) -> bool:
    """Tell whether a node leaves `channels` what they are: one of no layer, or of one that sums over places alone."""
    kind, node = architecture.kinds[index], architecture.graph[index]
    if kind not in LINEAR:
        return kind in ("", *PASSING, "position")
    own = (axis.tree for axis in architecture.weight_axes(architecture.layers[node.layer]))
    return {*leaves(("+", *own))}.isdisjoint(leaves(("+", *channels)))


def made_by(architecture: Architecture, index: int) -> Layer | None:
    """Return the layer whose output reaches node `index` through activations and scales alone; None behind a join."""
    graph = architecture.graph
    while len(graph[index].inputs) == 1 and architecture.kinds[index] in ("", *PASSING):
        index = graph[index].inputs[0]
    node = graph[index]
    return architecture.layers[node.layer] if node.layer >= 0 else None


def _trees(architecture: Architecture, layer: Layer) -> set[AxisTree]:
    """Return the trees of the weight's axes, and the innermost factors of those that are products."""
    trees = set(architecture.made(layer.tensor("weight")))
    return trees | {tree[-1] for tree in trees if isinstance(tree, tuple) and tree[0] == "*"}
