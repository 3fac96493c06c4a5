"""Fit a catalogue architecture to what a checkpoint really holds: its tensors, dtypes, prefix and image size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt

from tli_cli.architecture import Architecture, Axis, Node, Space, TensorSpec, tree_size
from tli_cli.catalogue.loading import without
from tli_cli.describe.spaces import leaves, with_leaves


def adapted(architecture: Architecture, tensors: Sequence[TensorSpec]) -> Architecture:
    """Return `architecture` over exactly `tensors`, with their shapes and dtypes; those it does not know stand last."""
    given = {tensor.name: tensor for tensor in tensors}
    known = without(architecture, frozenset(t.name for t in architecture.tensors if t.name not in given))
    other = {t.name for t in known.tensors if given[t.name].shape != t.shape}
    specs = [replace(t, shape=given[t.name].shape, dtype=given[t.name].dtype) for t in known.tensors]
    spaces, axes = _resized(known, {t.name: t for t in specs}, other)
    initial = {name: value for name, value in known.initial.items() if name not in other}
    fitted = replace(known, tensors=tuple(specs), spaces=spaces, axes=axes, initial=initial, order_from="recognised")
    extra = [tensor for tensor in tensors if tensor.name not in fitted.by_name]
    return joined(fitted, extra) if extra else fitted


def _resized(
    architecture: Architecture, specs: dict[str, TensorSpec], other: set[str]
) -> tuple[tuple[Space, ...], dict[str, tuple[Axis, ...]]]:
    """Return spaces of which the grids have the sizes of `specs`, and the axes that agree with them."""
    if not other:
        return architecture.spaces, architecture.axes
    sizes = {i: space.size for i, space in enumerate(architecture.spaces)}
    for name in sorted(other & architecture.axes.keys()):
        for axis, size in zip(architecture.axes[name], specs[name].shape, strict=False):
            grids = [leaf for leaf in leaves(axis.tree) if architecture.spaces[leaf].kind == "grid"]
            if len(grids) == 2 and sizes[grids[0]] == sizes[grids[1]]:
                sizes |= dict.fromkeys(grids, isqrt(max(sizes[grids[0]] ** 2 + size - tree_size(axis.tree, sizes), 0)))
            elif len(grids) == 1 or (grids and isinstance(axis.tree, tuple) and axis.tree[0] == "+"):
                widest = max(grids, key=lambda leaf: sizes[leaf])
                sizes[widest] += size - tree_size(axis.tree, sizes)
    spaces = tuple(replace(space, size=sizes[i]) for i, space in enumerate(architecture.spaces))
    axes = {
        name: trees
        for name, trees in architecture.axes.items()
        if tuple(tree_size(axis.tree, sizes) for axis in trees) == specs[name].shape
    }
    return spaces, axes


def joined(architecture: Architecture, extra: Sequence[TensorSpec]) -> Architecture:
    """Return `architecture` followed by the layers that the names of `extra` tell of, in a line after its output.

    What no name says the use of, such as a table of places that older classes kept, is in no such line. Its layers are
    `assumed` to stand there.
    """
    from tli_cli.describe.from_names.names import describe_names

    tail = describe_names(extra, order_from="file")
    moved = len(architecture.spaces)

    first, last = len(architecture.layers), len(architecture.graph) - 1
    behind = [first + i for i, layer in enumerate(tail.layers) if layer.kind != "other"] if architecture.graph else []
    line = tuple(Node("layer", (last + i,), place) for i, place in enumerate(behind))
    return replace(
        architecture,
        tensors=(*architecture.tensors, *tail.tensors),
        layers=(*architecture.layers, *(layer.with_attributes(assumed=True) for layer in tail.layers)),
        graph=(*architecture.graph, *line),
        spaces=(*architecture.spaces, *tail.spaces),
        axes=architecture.axes
        | {
            name: tuple(replace(axis, tree=with_leaves(axis.tree, moved.__add__)) for axis in axes)
            for name, axes in tail.axes.items()
        },
    )
