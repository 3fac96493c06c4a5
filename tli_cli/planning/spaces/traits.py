"""What runs over the spaces of an architecture: norms, scales, depthwise convolutions, shared keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tli_cli.architecture import Architecture, AxisTree, Layer
from tli_cli.describe.spaces import leaves
from tli_cli.grouping import gathered
from tli_cli.planning.identity import NOT_ZERO, is_lifted
from tli_cli.planning.spaces.bending import acts_alone, adds_bias, bent_streams, used_as_they_are

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
    return bent_streams(architecture, NOT_ZERO, is_lifted, adds_bias)


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
        for tree in [] if acts_alone(architecture, layer) else trees:
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
