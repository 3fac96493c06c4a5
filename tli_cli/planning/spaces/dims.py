"""Line up the dimensions of a source tensor with those of a target tensor, factor by factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tli_cli.architecture import Architecture, Axis, AxisTree
from tli_cli.describe.spaces import factors_of, leaves, terms_of

BEHIND = 1 << 20
"""The place of dimensions of size 1 that stand behind all others, for kernels that meet a layer without one."""


@dataclass(frozen=True, slots=True)
class Dim:
    """One factor of one axis of a tensor: its tree, size and kind, and its place among all factors of the tensor."""

    tree: AxisTree
    size: int
    kind: str
    contracted: bool
    place: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of dimensions in the target's order, and how the source is viewed to match them."""

    pairs: tuple[tuple[Dim, Dim], ...]
    split: tuple[int, ...]
    permute: tuple[int, ...]
    shape: tuple[int, ...]


def tensor_dims(architecture: Architecture, axes: Sequence[Axis]) -> list[Dim]:
    """Return the factors of `axes`, products taken apart, in order."""
    dims: list[Dim] = []
    for axis in axes:
        for factor in factors_of(axis.tree):
            kind = _kind(architecture, factor)
            dims.append(Dim(factor, architecture.size_of(factor), kind, axis.contracted, len(dims)))
    return dims


def with_heads(architecture: Architecture, axes: Sequence[Axis], width: int) -> tuple[Axis, ...]:
    """Return `axes`, the innermost factors of those that are made, which give the `width` of a head, as one."""
    return tuple(
        axis if axis.contracted else replace(axis, tree=_with_head(architecture, axis.tree, width)) for axis in axes
    )


def _with_head(architecture: Architecture, tree: AxisTree, width: int) -> AxisTree:
    found = factors_of(tree)
    for count in range(2, len(found) + 1):
        if prod(map(architecture.size_of, found[-count:])) == width:
            return ("*", *found[:-count], ("*", *found[-count:]))
    return tree


def _kind(architecture: Architecture, tree: AxisTree) -> str:
    """Return the kind of a factor: that of all its spaces, or `grid` where tokens stand beside a map of patches; maps
    of several channels that lie end to end are channels."""
    if isinstance(tree, int):
        return architecture.spaces[tree].kind
    laid = terms_of(tree)
    kinds = {architecture.spaces[leaf].kind for leaf in leaves(tree)}
    placed = any({architecture.spaces[leaf].kind for leaf in leaves(part)} == {"grid"} for part in laid)
    mixed = "grid" if placed or ("grid" in kinds and len(laid) == 1) else "channels"
    return kinds.pop() if len(kinds) == 1 else mixed


def align_dims(
    target: Architecture,
    target_axes: Sequence[Axis],
    source: Architecture,
    source_axes: Sequence[Axis],
    *,
    table: bool = False,
) -> Alignment | None:
    """Return how the source's dimensions serve the target's; None where they have nothing in common.

    With `table`, rows are looked up by one side and perhaps added as a whole by the other: none is summed over.
    """
    mine, theirs = tensor_dims(target, target_axes), tensor_dims(source, source_axes)
    if table:
        mine, theirs = ([replace(dim, contracted=False) for dim in dims] for dims in (mine, theirs))
    pairs: list[tuple[Dim, list[Dim]]] = []
    for contracted in (False, True):
        wanted = [d for d in mine if d.contracted == contracted]
        offered = [d for d in theirs if d.contracted == contracted]
        together = _pair_group(wanted, offered)
        if together is None:
            return None
        pairs.extend(together)
    pairs.sort(key=lambda pair: pair[0].place)
    return _layout(pairs, tuple(dim.size for dim in theirs))


def _pair_group(wanted: list[Dim], offered: list[Dim]) -> list[tuple[Dim, list[Dim]]] | None:
    """Pair the dimensions of one role; units fill up kernels and tokens, frames that one side lacks are paired with
    nothing, the longer side's other leading factors are merged."""
    if frames := _frames_beyond(wanted, offered):
        return [(t, []) for t in frames] + (_pair_group(_without(wanted, frames), offered) or [])
    if frames := _frames_beyond(offered, wanted):
        one = [(Dim(("*",), 1, "grid", False, BEHIND + i), [s]) for i, s in enumerate(frames)]
        return one + (_pair_group(wanted, _without(offered, frames)) or [])
    if regrouped := _regrouped(wanted, offered):
        return regrouped
    offered = _in_place_order(wanted, offered)
    if [_sort(d) for d in wanted] == [_sort(d) for d in offered]:
        return [(t, [s]) for t, s in zip(wanted, offered, strict=True)]
    wanted_units = _units(wanted, offered)
    offered = _without(offered, _units(offered, wanted))
    wanted = _without(wanted, wanted_units)
    loose = _beyond(wanted, offered)
    if loose and len(wanted) - len(loose) == len(offered):
        wanted_units, wanted = wanted_units + loose, _without(wanted, loose)
    spare = _beyond(offered, wanted) or _experts_beyond(offered, wanted)
    if len(wanted) == len(offered) - len(spare):
        offered = _without(offered, spare)
    else:
        spare = []
    surplus = range(len(wanted_units), len(spare))
    wanted_units = [Dim(("*",), 1, "kernel", True, BEHIND + i) for i in surplus] + wanted_units
    units = [(unit, spare[i : i + 1]) for i, unit in enumerate(wanted_units)]
    if not wanted and not offered:
        return units
    if not wanted or not offered:
        return None
    offered = _in_kind_order(wanted, offered)
    pairs: list[tuple[Dim, list[Dim]]] = []
    while len(wanted) > 1 and len(offered) > 1:
        pairs.append((wanted.pop(), [offered.pop()]))
    first = wanted[0] if len(wanted) == 1 else _product(wanted, wanted[0].kind)
    return [*pairs, (first, offered), *units]


def _without(dims: Sequence[Dim], others: Sequence[Dim]) -> list[Dim]:
    return [dim for dim in dims if dim not in others]


def _units(dims: Sequence[Dim], others: Sequence[Dim]) -> list[Dim]:
    """Return the dimensions of size 1 among `dims`, the channel of a grey image not where `others` have colours."""
    coloured = any(dim.kind == "input" for dim in others)
    return [dim for dim in dims if dim.size == 1 and not (coloured and dim.kind == "input")]


def _regrouped(wanted: list[Dim], offered: list[Dim]) -> list[tuple[Dim, list[Dim]]]:
    """Pair factors of one product that are cut otherwise as one: heads that share other keys, or other heads.

    Heads of one width stay what they are, so that their number is all that counts (`regrouped`); else the channels are
    taken as they lie, though other ones belong together.
    """
    alike = len(wanted) == len(offered) > 1 and {_sort(d) for d in (*wanted, *offered)} == {"channels"}
    for count, kind in ((len(wanted) - 1, "regrouped"), (len(wanted), "channels")) if alike else ():
        mine, theirs = wanted[:count], offered[:count]
        sizes = [d.size for d in mine], [d.size for d in theirs]
        if count > 1 and sizes[0] != sizes[1] and prod(sizes[0]) == prod(sizes[1]):
            rest = zip(wanted[count:], offered[count:], strict=True)
            return [(_product(mine, kind), theirs), *((t, [s]) for t, s in rest)]
    return []


def _sort(dim: Dim) -> str:
    """Return what a dimension may stand for: places that are summed over are a kernel's, whatever the layer."""
    if dim.kind == "kernel" or (dim.kind == "grid" and dim.contracted):
        return "kernel"
    return "grid" if dim.kind == "grid" else "channels"


def _beyond(dims: list[Dim], others: list[Dim]) -> list[Dim]:
    """Return the kernel dimensions that `dims` has more of than `others`: the first ones, such as a video's time."""
    kernel = [d for d in dims if d.kind == "kernel"]
    return kernel[: max(len(kernel) - sum(d.kind == "kernel" for d in others), 0)]


def _frames_beyond(dims: list[Dim], others: list[Dim]) -> list[Dim]:
    """Return the places that `dims` have outside of the sides of a map, of which `others` have no more than that."""
    placed, known = ([d for d in side if d.kind == "grid" and not d.contracted] for side in (dims, others))
    return placed[: max(len(placed) - len(known), 0)] if len(known) > 1 else []


def _experts_beyond(dims: list[Dim], others: list[Dim]) -> list[Dim]:
    """Return the dimension over the matrices of which one is picked for each input, where `others` have one matrix; as
    many channels in all are the same ones, which one side alone cuts."""
    picked = len(dims) == len(others) + 1 > 1 and not dims[0].contracted and dims[0].kind == "choices"
    cut = prod(d.size for d in dims) == prod(d.size for d in others)
    return dims[:1] if picked and not cut and not any(d.kind == "choices" for d in others) else []


def _in_kind_order(wanted: list[Dim], offered: list[Dim]) -> list[Dim]:
    """Reorder `offered` where both sides have the same kinds of dimension in another order (patches as vectors)."""
    kinds = [_sort(d) for d in wanted]
    if len(wanted) != len(offered) or sorted(kinds) != sorted(_sort(d) for d in offered):
        return offered
    left = list(offered)
    result = []
    for kind in kinds:
        chosen = next(d for d in left if _sort(d) == kind)
        left.remove(chosen)
        result.append(chosen)
    return result


def _in_place_order(wanted: list[Dim], offered: list[Dim]) -> list[Dim]:
    """Reorder the places of `offered` as those of `wanted` lie, such as columns before rows."""
    mine, theirs = _places(wanted), _places(offered)
    if len(mine) != len(theirs):
        return offered
    ordered, slots = sorted(theirs, key=_by_making), [i for i, dim in enumerate(offered) if dim in theirs]
    ranks = [sorted(mine, key=_by_making).index(dim) for dim in mine]
    result = list(offered)
    for slot, rank in zip(slots, ranks, strict=True):
        result[slot] = ordered[rank]
    return result


def _places(dims: Sequence[Dim]) -> list[Dim]:
    placed = [dim for dim in dims if dim.kind == "grid" and dim.size > 1]
    return placed or [dim for dim in dims if dim.kind == "kernel" and dim.size > 1]


def _by_making(dim: Dim) -> list[int]:
    """Return what sorts places as maps have them: spaces are numbered so, dimensions of kernels lie so."""
    return leaves(dim.tree) if dim.kind == "grid" else [dim.place]


def _product(dims: Sequence[Dim], kind: str) -> Dim:
    """Return factors that are taken together, in the place of the first."""
    return replace(dims[0], tree=("*", *(d.tree for d in dims)), size=prod(d.size for d in dims), kind=kind)


def _layout(pairs: Sequence[tuple[Dim, list[Dim]]], split: tuple[int, ...]) -> Alignment:
    order = [d.place for _, dims in pairs for d in dims]
    left_out = [place for place in range(len(split)) if place not in order]
    shape = tuple(prod(d.size for d in dims) for _, dims in pairs)
    merged = []
    for wanted, dims in pairs:
        several = replace(_product(dims, dims[0].kind), place=-1) if len(dims) > 1 else None
        nothing = Dim(("*",), 1, wanted.kind, wanted.contracted, -1)
        merged.append((wanted, several or (dims[0] if dims else nothing)))
    return Alignment(tuple(merged), split, (*order, *left_out), shape)
