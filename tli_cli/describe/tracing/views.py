"""How views and slices move axes: one function for each family of aten operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.spaces import leaves
from tli_cli.describe.tracing.borders import note_cut, note_padding
from tli_cli.describe.tracing.concatenations import concatenate, stack, taken_apart
from tli_cli.describe.tracing.numbers import note_picked
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.shuffles import channel_shuffle, im2col, pixel_shuffle, pixel_unshuffle, unfold
from tli_cli.describe.tracing.values import Origin, Value

NONE: Origin = frozenset()


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
        merged = rec.table.multiplied([rec.table.resolve(value.dims[d]) for d in left]) if left else rec.fresh(1)
        sizes = [out.shape[d] for d in right]
        pieces = [merged] if len(right) == 1 else rec.table.split_product(merged, sizes) if right else []
        dims.extend(pieces if pieces is not None else [rec.fresh(s) for s in sizes])
        together = frozenset().union(*(value.origin(d) for d in left if source.shape[d] > 1 or len(left) == 1))
        origins.extend(together if out.shape[d] > 1 or len(right) == 1 else NONE for d in right)
    rec.same_shape(value, out, dims=tuple(dims), origins=tuple(origins))


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
        origins.append(value.origin(d - lead) if kept else NONE)
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
        dims.append(rec.table.multiplied([rec.fresh(copies, "channels"), rec.table.resolve(own)]))
    rec.same_shape(value, out, dims=tuple(dims), origins=(), expanded=_to_batch(rec, value, args[0], out))


def unsqueeze(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Insert a dimension of size 1."""
    at = args[1] % out.ndim
    dims, origins = list(value.dims), list(value.origins or (NONE,) * len(value.dims))
    dims.insert(at, rec.fresh(1))
    origins.insert(at, NONE)
    to_all = value.expanded or (value.node < 0 and at == 0 and out.ndim > 2)
    rec.same_shape(value, out, dims=tuple(dims), origins=tuple(origins), expanded=to_all)


def _pieces(rec: Recording, value: Value, dim: int, sizes: Sequence[int]) -> list[AxisTree]:
    if len(sizes) > 16:
        return [rec.fresh(size) for size in sizes]
    pieces = rec.table.split_sum(value.dims[dim], sizes)
    return pieces if pieces is not None else [rec.fresh(size) for size in sizes]


def _with_dim(value: Value, dim: int, tree: AxisTree | None) -> Value:
    dims, origins = list(value.dims), list(value.origins or (NONE,) * len(value.dims))
    if tree is None:
        del dims[dim], origins[dim]
    else:
        dims[dim] = tree
    return replace(value, dims=tuple(dims), origins=tuple(origins))


def _put_part(rec: Recording, out: torch.Tensor, value: Value, whole: AxisTree, index: int, size: int = 1) -> None:
    node = rec.part(value, whole, index, size) if value.node >= 0 else -1
    rec.put(out, replace(value, node=node))


def split(rec: Recording, value: Value, args: Sequence[Any], out: Sequence[torch.Tensor]) -> None:
    """Cut one dimension in parts (split, chunk, unsafe_split, split_with_sizes)."""
    if not out:
        return
    dim = (args[2] if len(args) > 2 else 0) % args[0].ndim
    whole = value.dims[dim]
    pieces = _pieces(rec, value, dim, [t.shape[dim] for t in out])
    start = 0
    for index, (tensor, piece) in enumerate(zip(out, pieces, strict=True)):
        size = tensor.shape[dim]
        if (joined := taken_apart(rec, args[0], dim, start, size)) is not None:
            rec.put(tensor, joined)
        else:
            _put_part(rec, tensor, _with_dim(value, dim, piece), whole, index, size)
        start += size


def unbind(rec: Recording, value: Value, args: Sequence[Any], out: Sequence[torch.Tensor]) -> None:
    """Cut one dimension in single indices and drop it."""
    if not out:
        return
    dim = (args[1] if len(args) > 1 else 0) % args[0].ndim
    whole = value.dims[dim]
    _pieces(rec, value, dim, [1] * len(out))
    for index, tensor in enumerate(out):
        _put_part(rec, tensor, _with_dim(value, dim, None), whole, index)


def select(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Take a single index of one dimension and drop it."""
    dim = args[1] % args[0].ndim
    size = args[0].shape[dim]
    index = args[2] % max(size, 1)
    whole = value.dims[dim]
    note_picked(rec, value, dim, index, size)
    if size <= 8 or index in (0, size - 1):
        sizes = [1] * size if size <= 8 else [1, size - 1] if index == 0 else [size - 1, 1]
        rec.when_used(out, lambda: _pieces(rec, value, dim, sizes))
    _put_part(rec, out, _with_dim(value, dim, None), whole, index)


def slice_(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Take a range of one dimension."""
    dim = (args[1] if len(args) > 1 else 0) % args[0].ndim
    size, start = args[0].shape[dim], (args[2] if len(args) > 2 and args[2] is not None else 0)
    start = start + size if start < 0 else min(start, size)
    step = args[4] if len(args) > 4 else 1
    if step == 1:
        note_cut(rec, args, dim, start, out)
    if out.shape[dim] == size:
        rec.put(out, value)
        return
    if step == 1 and (joined := taken_apart(rec, args[0], dim, start, out.shape[dim])) is not None:
        rec.put(out, joined)
        return
    whole = value.dims[dim]
    if out.shape[dim] == 1:
        note_picked(rec, value, dim, start, size)
    if step != 1:
        part = _every(rec, value, dim, start, step, out.shape[dim])
    else:
        sizes = [start, out.shape[dim], size - start - out.shape[dim]]
        part = _with_dim(value, dim, _pieces(rec, value, dim, sizes)[1])
    _put_part(rec, out, part, whole, start, out.shape[dim])


def _every(rec: Recording, value: Value, dim: int, start: int, step: int, count: int) -> Value:
    """Return what is known of every `step`-th index of a dimension: it runs over the outer factor of it, such as pairs
    of channels that a rotary embedding turns."""
    whole = count * step == rec.table.size(value.dims[dim]) and start < step
    pieces = rec.table.split_product(value.dims[dim], [count, step]) if whole else None
    if pieces is None:
        return _with_dim(value, dim, rec.fresh(count))
    return replace(_with_dim(value, dim, pieces[0]), every=(*value.every, (pieces[1], start)))


def as_complex(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Read pairs of numbers as complex ones, which multiply as pairs that are turned: parts of both are added."""
    made = _with_dim(value, len(value.dims) - 1, None)
    if value.node >= 0:
        pairs = rec.table.multiplied([rec.table.resolve(tree) for tree in value.dims[-2:]])
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


def glu(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply one half of a dimension with the gate that the other half gives."""
    dim = (args[1] if len(args) > 1 else -1) % out.ndim
    kept, gate = _pieces(rec, value, dim, [out.shape[dim]] * 2)
    rec.table.unite(kept, gate)
    node = rec.node("glu", (value.node,)) if value.node >= 0 else -1
    rec.put(out, replace(_with_dim(value, dim, kept), node=node))


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
