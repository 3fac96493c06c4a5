"""How views move axes, one function for each family of aten operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.spaces import leaves
from tli_cli.describe.tracing.borders import note_padding
from tli_cli.describe.tracing.concatenations import concatenate, stack
from tli_cli.describe.tracing.numbers import note_tiled
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.shuffles import channel_shuffle, im2col, pixel_shuffle, pixel_unshuffle, unfold
from tli_cli.describe.tracing.slices import glu, select, slice_, split, unbind, with_dim
from tli_cli.describe.tracing.values import NOWHERE, Origin, Value


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pair runs of dimensions of equal product, the shortest first; units behind several that are merged go with
    these, unless there are several to merge behind them too."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = [i] if i < len(before) else [], [j] if j < len(after) else []
        i, j = i + len(left), j + len(right)
        while prod(before[d] for d in left) != prod(after[d] for d in right):
            if (prod(before[d] for d in left) < prod(after[d] for d in right) and i < len(before)) or j >= len(after):
                left.append(i)
                i += 1
            else:
                right.append(j)
                j += 1
        wide = [d for d in left if before[d] > 1]
        units = left[: left.index(wide[0])] if wide else left if not right else []
        if units and groups and len(groups[-1][0]) > 1 >= len(wide):
            groups[-1][0].extend(units)
            left = left[len(units) :]
        if left or right:
            groups.append((left, right))
    return groups


def view(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Reshape: runs of dimensions are multiplied and cut anew."""
    source = args[0]
    if 0 in source.shape:
        rec.same_shape(value, out, dims=tuple(rec.fresh(s) for s in out.shape), origins=())
        return
    dims: list[AxisTree] = []
    origins: list[Origin] = []
    for left, right in _groups(source.shape, out.shape):
        merged = rec.table.resolve(("*", *(value.dims[d] for d in left))) if left else rec.fresh(1)
        sizes = [out.shape[d] for d in right]
        pieces = [merged] if len(right) == 1 else rec.table.split_product(merged, sizes) if right else []
        dims.extend(pieces if pieces is not None else [rec.fresh(s) for s in sizes])
        together = frozenset().union(*(value.origin(d) for d in left if source.shape[d] > 1 or len(left) == 1))
        own = [_run_over(rec, together, dims[d]) for d in right] if pieces else [together] * len(right)
        origins.extend(o if out.shape[d] > 1 or len(right) == 1 else NOWHERE for d, o in zip(right, own, strict=True))
    rec.same_shape(value, out, dims=tuple(dims), origins=tuple(origins))


def _run_over(rec: Recording, origin: Origin, tree: AxisTree) -> Origin:
    """Return the parameter axes among `origin` that have a space in common with one part of what they make together."""
    inside = set(leaves(rec.table.resolve(tree)))
    axes = ((axis, rec.table.resolve(rec.parameter_dims[axis[0]][axis[1]])) for axis in origin)
    return frozenset(axis for axis, whole in axes if not inside.isdisjoint(leaves(whole)))


def reorder(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor, order: Sequence[int]) -> None:
    """Permute or transpose dimensions."""
    origins = tuple(value.origin(d) for d in order)
    rec.same_shape(value, out, dims=tuple(value.dims[d] for d in order), origins=origins)


def transpose(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Swap two dimensions."""
    order = list(range(out.ndim))
    if len(args) > 1:
        a, b = args[1] % max(out.ndim, 1), args[2] % max(out.ndim, 1)
        order[a], order[b] = order[b], order[a]
    else:
        order.reverse()
    reorder(rec, value, args, out, order)


def permute(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Reorder dimensions."""
    reorder(rec, value, args, out, [d % max(out.ndim, 1) for d in args[1]])


def expand(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Broadcast: new and widened dimensions are fresh."""
    lead = out.ndim - args[0].ndim
    dims, origins = [], []
    for d, size in enumerate(out.shape):
        kept = d >= lead and args[0].shape[d - lead] == size
        dims.append(value.dims[d - lead] if kept else rec.fresh(size, "channels"))
        origins.append(value.origin(d - lead) if kept else NOWHERE)
    rec.same_shape(value, out, dims=tuple(dims), origins=tuple(origins), expanded=_to_batch(rec, value, args[0], out))


def _to_batch(rec: Recording, value: Value, before: torch.Tensor, after: torch.Tensor) -> bool:
    """Tell whether a parameter is given to every sample: a new dimension, or one of size 1, becomes the batch; of one
    sample, the first."""
    sizes = ((1,) * (after.ndim - before.ndim) + tuple(before.shape))[: None if rec.batch > 1 else 1]
    widened = any(old == 1 and new == rec.batch for old, new in zip(sizes, after.shape, strict=False))
    return value.expanded or (value.node < 0 and after.ndim > 2 and widened)


def repeat(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Tile: each dimension becomes copies times itself."""
    lead = out.ndim - args[0].ndim
    dims: list[AxisTree] = []
    for d, size in enumerate(out.shape):
        own = value.dims[d - lead] if d >= lead else rec.fresh(1)
        copies = size // rec.table.size(own)
        if d >= lead:
            note_tiled(rec, value, d - lead, copies)
        dims.append(rec.table.resolve(("*", rec.fresh(copies, "channels"), own)))
    rec.same_shape(value, out, dims=tuple(dims), origins=(), expanded=_to_batch(rec, value, args[0], out))


def unsqueeze(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Insert a dimension of size 1."""
    at = args[1] % out.ndim
    dims, origins = list(value.dims), list(value.origins or (NOWHERE,) * len(value.dims))
    dims.insert(at, rec.fresh(1))
    origins.insert(at, NOWHERE)
    to_all = value.expanded or (value.node < 0 and at == 0 and out.ndim > 2)
    rec.same_shape(value, out, dims=tuple(dims), origins=tuple(origins), expanded=to_all)


def as_complex(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Read pairs of numbers as complex ones, which multiply as pairs that are turned: parts of both are added."""
    made = with_dim(value, len(value.dims) - 1, None)
    if value.node >= 0:
        pairs = rec.table.resolve(("*", *value.dims[-2:]))
        parts = [rec.part(value, pairs, i, 1) for i in (0, 1)]
        made = replace(made, node=rec.node("add", parts))
    rec.put(out, made)


def as_real(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Read complex numbers as pairs of numbers."""
    pair = rec.table.summed([rec.fresh(1), rec.fresh(1)])
    rec.put(out, replace(value, dims=(*value.dims, pair), origins=()))


def pad(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Pad the last dimensions: padded channels are fresh channels beside the old ones."""
    note_padding(rec, args, out)
    dims = list(value.dims)
    for i in range(len(args[1]) // 2):
        d, before, after = out.ndim - 1 - i, args[1][2 * i], args[1][2 * i + 1]
        if not before and not after:
            continue
        if before >= 0 and after >= 0:
            own = rec.table.resolve(dims[d])
            around = [rec.fresh(before, "channels"), own, rec.fresh(after, "channels")]
            dims[d] = rec.fresh(out.shape[d]) if _is_mixed(rec, own) else rec.table.summed(around)
        else:
            dims[d] = rec.fresh(out.shape[d])
    rec.same_shape(value, out, dims=tuple(dims))


def _is_mixed(rec: Recording, tree: AxisTree) -> bool:
    """Tell whether a dimension runs over places, or over channels that were held against their neighbours, one by
    one."""
    sizes = {rec.table.size(leaf) for leaf in leaves(tree)}
    return (isinstance(tree, tuple) and sizes == {1}) or "grid" in rec.table.kinds(tree)


OF_ONE: dict[str, Callable[[Recording, Value, Sequence[Any], Any], None]] = {
    "view": view, "_unsafe_view": view, "reshape": view, "_reshape_alias": view,
    "squeeze": view, **dict.fromkeys(("t", "t_", "transpose", "transpose_"), transpose), "permute": permute,
    "expand": expand, "repeat": repeat, "unsqueeze": unsqueeze,
    "split": split, "unsafe_split": split, "split_with_sizes": split, "unsafe_split_with_sizes": split,
    "unbind": unbind, "select": select, "slice": slice_,
    "constant_pad_nd": pad, "glu": glu, "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle, "im2col": im2col, "unfold": unfold,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channel_shuffle),
    "view_as_complex": as_complex, "view_as_real": as_real,
}  # fmt: skip
"""What operations do with their first argument, where anything is known of that."""


def _of_one(rule: Callable[..., None], rec: Recording, args: Sequence[Any], out: Any) -> None:
    if (value := rec.get(args[0])) is not None:
        rule(rec, value, args, out)


VIEWS: dict[str, Callable[[Recording, Sequence[Any], Any], None]] = {
    "cat": concatenate,
    "stack": stack,
    **{name: partial(_of_one, rule) for name, rule in OF_ONE.items()},
}
