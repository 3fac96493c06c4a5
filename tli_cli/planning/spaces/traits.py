"""What runs over the spaces of an architecture: norms, scales, depthwise convolutions, shared keys, tied heads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

from tli_cli.architecture import LINEAR, Architecture, AxisTree, Layer, Node
from tli_cli.describe.spaces import leaves
from tli_cli.describe.walks import walked
from tli_cli.grouping import gathered
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.planning.identity import NOT_ZERO, is_lifted

CENTRED, ZERO = "centred", "zero"


def bent_spaces(architecture: Architecture) -> set[AxisTree]:
    """Return the spaces whose channels pass through something of their own kind each: a depthwise convolution, a scale.

    A channel that starts at the mean of the others does not stay there behind them. What multiplies a number of the
    input by one of its own for each channel makes these, as a linear layer does.
    """
    found: set[AxisTree] = set()
    graph = architecture.graph
    first = {node.layer for node in graph if node.inputs and all(graph[i].op == "input" for i in node.inputs)}
    for place, layer in enumerate(architecture.layers):
        depthwise = layer.kind == "conv" and int(layer.attribute("groups", 1)) > 1
        if layer.kind in ("scale", "slope") and not (place in first and len(architecture.weight_axes(layer)) > 1):
            found.update(_held(architecture, layer))
        elif depthwise and (axes := architecture.weight_axes(layer)):
            found.add(axes[0].tree)
    return found | used_as_they_are(architecture) | bent_streams(architecture)


def lifted_spaces(architecture: Architecture) -> set[AxisTree]:
    """Return the spaces of which a channel that starts at zero does not stay there: maps over tokens add biases, the
    same to all channels, and what is nowhere zero gives something for nothing."""
    return bent_streams(architecture, NOT_ZERO, is_lifted, _adds_bias)


def tied_heads(architecture: Architecture) -> list[tuple[int, int]]:
    """Return the places of the embeddings whose own tables serve as heads, with the node that stands before each, masks
    apart."""
    graph = architecture.graph
    return [(graph[i].layer, _before_masks(graph, graph[i].inputs[0])) for i in _nodes_of_heads(architecture)]


def norms_before_tied_heads(architecture: Architecture) -> set[str]:
    """Return the paths of norms that feed a head which is an embedding's own table: they divide what it cannot."""
    before = (architecture.graph[index].layer for _, index in tied_heads(architecture))
    return {layer.path for place in before if place >= 0 and (layer := architecture.layers[place]).kind == "norm"}


def undivided_spaces(architecture: Architecture) -> dict[AxisTree, bool]:
    """Return the widths of tables that are heads, where no norm feeds these alone: nothing there divides by copies. Of
    each, whether what stands at the mean of the other channels is not zero there either."""
    norms, heads, found = norms_before_tied_heads(architecture), _nodes_of_heads(architecture), dict[AxisTree, bool]()
    for place, index in tied_heads(architecture):
        node, name = architecture.graph[index], architecture.layers[place].tensor("weight")
        divided = node.layer >= 0 and architecture.layers[node.layer].path in norms
        if name in architecture.axes and not (divided and _feeds(architecture, index, heads)):
            made, tree = _made_by(architecture, index), architecture.axes[name][-1].tree
            found[tree] = found.get(tree, False) or made is None or made.kind != "norm"
    return found


def _nodes_of_heads(architecture: Architecture) -> set[int]:
    """Return the nodes of tables that are run on what layers make, not on what is made of the inputs alone."""
    fed, found = list[bool](), set[int]()
    making = {i for i, layer in enumerate(architecture.layers) if not _counts(architecture, layer)}
    for index, node in enumerate(architecture.graph):
        behind = any(fed[i] for i in node.inputs)
        fed.append(behind or node.layer in making)
        found |= {index} if behind and architecture.kinds[index] == "embedding" else set()
    return found


def _counts(architecture: Architecture, layer: Layer) -> bool:
    """Tell whether a layer holds whole numbers alone, such as where the rows of each feature begin in a table."""
    return all(architecture.by_name[name].dtype.startswith("int") for _, name in layer.tensors)


def _before_masks(graph: Sequence[Node], index: int) -> int:
    """Return the node whose value, multiplied with others perhaps, that of node `index` is."""
    while graph[index].op == "mul":
        index = next((i for i in graph[index].inputs if graph[i].layer >= 0), graph[index].inputs[0])
    return index


def _feeds(architecture: Architecture, index: int, heads: Collection[int]) -> bool:
    """Tell whether what a node makes goes into `heads`, masked perhaps, and nowhere else."""
    graph, readers = architecture.graph, architecture.readers[index]
    masked = {i for i in readers if graph[i].op == "mul" and graph[i].inputs.count(index) == 1}
    return bool(readers) and all(i in heads or (i in masked and _feeds(architecture, i, heads)) for i in readers)


def normalised_spaces(architecture: Architecture) -> dict[AxisTree, str]:
    """Return how the spaces that a layer norm or RMS norm runs over must be widened: `centred` or `zero`."""
    averaged = averaged_spaces(architecture) | architecture.averaged
    return {
        tree: ZERO if layer.attribute("norm") == "rms" else CENTRED
        for tree, layer in _normalised(architecture)
        if tree not in averaged
    }


def averaged_spaces(architecture: Architecture) -> set[AxisTree]:
    """Return the spaces over which a norm averages together with others, or both kinds of norms do: they are repeated
    evenly or not kept."""
    flavours = gathered((tree, layer.attribute("norm") == "rms") for tree, layer in _normalised(architecture))
    found = {tree for tree, kinds in flavours.items() if len({*kinds}) > 1}
    for tree, layer in _normalised(architecture):
        over_places = layer.attribute("norm") == "group" and layer.attribute("positions", 1) > 1
        found.update([tree] if over_places or len(_held(architecture, layer)) > 1 else [])
        if isinstance(tree, tuple) and tree[0] == "*":
            found.update(leaves(tree))
    return found


def _normalised(architecture: Architecture) -> Iterator[tuple[AxisTree, Layer]]:
    for layer in architecture.layers:
        flavour = layer.attribute("norm")
        trees = _held(architecture, layer) if layer.kind == "norm" and flavour in ("layer", "rms", "group") else []
        alone = layer.averages == prod(map(architecture.size_of, trees))
        for tree in [] if alone else trees:
            yield tree[-1] if flavour == "group" and isinstance(tree, tuple) and tree[0] == "*" else tree, layer


def _held(architecture: Architecture, layer: Layer) -> list[AxisTree]:
    """Return what the weight of a norm or a scale runs over, axes of one index apart."""
    axes = architecture.weight_axes(layer)
    return [axis.tree for axis in axes if architecture.size_of(axis.tree) > 1]


def repeats_of(architecture: Architecture) -> dict[AxisTree, AxisTree]:
    """Return for each outermost factor of a product the one behind it, where another axis is the same without that: the
    keys of an attention, and how many queries share each."""
    products = {
        tree
        for layer in architecture.layers
        for _, name in layer.tensors
        for axis in architecture.axes.get(name, ())
        for tree in _products(axis.tree)
        if layer.kind == "linear"
    }
    return {tree[1]: tree[2] for tree in products if len(tree) > 3 and ("*", tree[1], *tree[3:]) in products}


def _products(tree: AxisTree) -> Iterator[tuple[Any, ...]]:
    if isinstance(tree, tuple):
        if tree[0] == "*":
            yield tree
        for child in tree[1:]:
            yield from _products(child)


PASSING = ("scale", "bias")
"""Kinds of layers that act on each channel alone."""


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
    made = _made_by(architecture, index)
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
        averages = kind == "norm" and architecture.layers[node.layer].attribute("norm") != "batch"
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


def _adds_bias(layer: Layer) -> bool:
    return layer.kind in LINEAR and layer.tensor("bias") is not None


def _keeps(architecture: Architecture, channels: Collection[AxisTree], index: int) -> bool:
    """Tell whether a node leaves `channels` what they are: one of no layer, or of one that sums over places alone."""
    kind, node = architecture.kinds[index], architecture.graph[index]
    if kind not in LINEAR:
        return kind in ("", *PASSING, "position")
    own = (axis.tree for axis in architecture.weight_axes(architecture.layers[node.layer]))
    return {*leaves(("+", *own))}.isdisjoint(leaves(("+", *channels)))


def _made_by(architecture: Architecture, index: int) -> Layer | None:
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
