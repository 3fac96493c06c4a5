"""Layers that take a flattened map in a file of TensorFlow, Keras or Flax: its channels stand last there, not first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture, Axis, AxisTree
from tli_cli.describe.spaces import leaves

if TYPE_CHECKING:
    import torch


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


def takes_flattened(architecture: Architecture, name: str) -> bool:
    """Tell whether a matrix sums over channels and places of a map side by side."""
    trees = [axis.tree for axis in architecture.axes.get(name, ()) if axis.contracted]
    return any(
        isinstance(tree, tuple) and tree[0] == "*" and len({is_place(architecture, child) for child in tree[1:]}) == 2
        for tree in trees
    )


def as_defined(architecture: Architecture, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return the matrix `name` of a file with channels last as the class that `architecture` was traced from takes it:
    `(out, *places, channels)` in the file, `(out, channels, *places)` there."""
    axes = architecture.axes.get(name, ())
    for dim, axis in enumerate(axes if len(axes) == 2 else ()):
        if axis.contracted and _turned(architecture, axis.tree) != axis.tree:
            children = axis.tree[1:] if isinstance(axis.tree, tuple) else ()
            order = sorted(range(len(children)), key=lambda i: not is_place(architecture, children[i]))
            sizes = [architecture.size_of(children[i]) for i in order]
            split = tensor.reshape(*tensor.shape[:dim], *sizes, *tensor.shape[dim + 1 :])
            kept = [*range(dim), *(dim + order.index(i) for i in range(len(order)))]
            turned = split.permute(*kept, *range(dim + len(order), split.ndim))
            tensor = turned.reshape(tensor.shape)
    return tensor


def _turned(architecture: Architecture, tree: AxisTree) -> AxisTree:
    if not isinstance(tree, tuple) or tree[0] != "*":
        return tree
    places = [child for child in tree[1:] if is_place(architecture, child)]
    channels = [child for child in tree[1:] if not is_place(architecture, child)]
    return ("*", *places, *channels)


def is_place(architecture: Architecture, tree: AxisTree) -> bool:
    """Tell whether an axis runs over places of a map."""
    return all(architecture.spaces[leaf].kind == "grid" for leaf in leaves(tree))
