"""Layers that take a flattened map in a file of TensorFlow, Keras or Flax: its channels stand last there, not first."""

from __future__ import annotations

from dataclasses import replace

from tli_cli.architecture import Architecture, Axis, AxisTree
from tli_cli.describe.spaces import leaves


def with_channels_last(architecture: Architecture) -> Architecture:
    """Return `architecture` with what its matrices sum over as `(*places, channels)` where it is `(channels, *places)`.

    The values of such a matrix stand in that order, whatever else was turned when it was read.
    """
    axes = {
        name: tuple(
            Axis(_turned(architecture, axis.tree), axis.contracted) if axis.contracted and len(own) == 2 else axis
            for axis in own
        )
        for name, own in architecture.axes.items()
    }
    return replace(architecture, axes=axes) if axes != architecture.axes else architecture


def _turned(architecture: Architecture, tree: AxisTree) -> AxisTree:
    if not isinstance(tree, tuple) or tree[0] != "*":
        return tree
    places = [child for child in tree[1:] if is_place(architecture, child)]
    channels = [child for child in tree[1:] if not is_place(architecture, child)]
    return ("*", *places, *channels)


def is_place(architecture: Architecture, tree: AxisTree) -> bool:
    """Tell whether an axis runs over places of a map."""
    return all(architecture.spaces[leaf].kind == "grid" for leaf in leaves(tree))
