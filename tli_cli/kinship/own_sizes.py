"""The known network's spaces in the sizes of a checkpoint, those of a repeated block anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import (
    Architecture,
    Axis,
    AxisTree,
    Space,
    tree_size,
)
from tli_cli.describe.spaces import leaves, with_leaves
from tli_cli.grouping import gathered
from tli_cli.kinship.repeats import Member
from tli_cli.kinship.sizes import solve


def own_spaces(
    bare: Architecture, known: Architecture, members: Sequence[Member], head_width: int
) -> tuple[list[Space], dict[str, tuple[Axis, ...]], set[int], list[int]]:
    """Return the known spaces in the checkpoint's sizes, the inner ones of a repeated block anew, its axes, which sizes
    are guessed, and which known space each one is."""
    axes, templates_of = _own_axes(known, members)
    shapes = {t.name: t.shape for t in bare.tensors}
    constraints = [(axis.tree, size) for name in axes for axis, size in zip(axes[name], shapes[name], strict=True)]
    spaces = [known.spaces[leaf] for leaf in templates_of]
    grouped = {
        leaf
        for member in members
        if known.layers[member.like].attribute("norm") == "group"
        for name in member.tensors.values()
        for axis in axes.get(name, ())
        for leaf in leaves(axis.tree)
    }
    places = {i for i, space in enumerate(spaces) if space.kind == "grid"}
    known_sizes = {i: space.size for i, space in enumerate(spaces)}
    sizes, guessed = solve(constraints, known_sizes, grouped, head_width, places)
    fitting = {
        name: tuple(replace(axis, tree=_without_nothing(axis.tree, sizes)) for axis in found)
        for name, found in axes.items()
        if sizes.keys() >= {leaf for axis in found for leaf in leaves(axis.tree)}
        and shapes[name] == tuple(tree_size(axis.tree, sizes) for axis in found)
    }
    own_sizes = [replace(space, size=sizes.get(i, space.size)) for i, space in enumerate(spaces)]
    differ = {i for i in guessed if sizes.get(i) != spaces[i].size}  # what is as large as there is cut as there
    return own_sizes, fitting, differ, templates_of


def _own_axes(known: Architecture, members: Sequence[Member]) -> tuple[dict[str, tuple[Axis, ...]], list[int]]:
    """Return the axes of the checkpoint's tensors in terms of its own spaces, and which known space each of these is:
    they are numbered as the known ones are, since places are told by that."""
    shared = _shared(known)

    def own(leaf: int, member: Member) -> tuple[int, str]:
        copied = member.block if member.block != known.layers[member.like].block else ""
        return leaf, "" if leaf in shared else copied

    held = [(one, known.axes.get(like, ()), name) for one in members for like, name in one.tensors.items()]
    used = sorted({own(leaf, member) for member, axes, _ in held for axis in axes for leaf in leaves(axis.tree)})
    number = {key: i for i, key in enumerate(used)}

    def renumbered(axis: Axis, member: Member) -> Axis:
        return replace(axis, tree=with_leaves(axis.tree, lambda leaf: number[own(leaf, member)]))

    axes = {name: tuple(renumbered(axis, member) for axis in found) for member, found, name in held if found}
    return axes, [leaf for leaf, _ in used]


def _without_nothing(tree: AxisTree, sizes: Mapping[int, int]) -> AxisTree:
    """Return `tree` without the parts that a block made which the checkpoint lacks."""
    if isinstance(tree, int):
        return tree
    children = [_without_nothing(child, sizes) for child in tree[1:] if tree[0] != "+" or tree_size(child, sizes)]
    return children[0] if len(children) == 1 else (tree[0], *children)


def _shared(known: Architecture) -> set[int]:
    """Return the spaces that more than one block uses: the stream between them."""
    axes = ((layer, axis) for layer in known.layers for _, name in layer.tensors for axis in known.axes.get(name, ()))
    blocks = gathered((leaf, layer.block) for layer, axis in axes for leaf in leaves(axis.tree))
    return {leaf for leaf, users in blocks.items() if len({*users}) > 1}
