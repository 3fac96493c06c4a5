"""How taking parts of a tensor cuts its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.borders import note_cut
from tli_cli.describe.tracing.concatenations import taken_apart
from tli_cli.describe.tracing.numbers import are_places, note_every, note_picked
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import NOWHERE, Value


def _pieces(rec: Recording, value: Value, dim: int, sizes: Sequence[int]) -> list[AxisTree]:
    if len(sizes) > 16:
        return [rec.fresh(size) for size in sizes]
    pieces = rec.table.split_sum(value.dims[dim], sizes)
    return pieces if pieces is not None else [rec.fresh(size) for size in sizes]


def with_dim(value: Value, dim: int, tree: AxisTree | None) -> Value:
    """Return `value` with another tree for dimension `dim`, or without that dimension."""
    dims, origins = list(value.dims), list(value.origins or (NOWHERE,) * len(value.dims))
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
            _put_part(rec, tensor, with_dim(value, dim, piece), whole, index, size)
        start += size


def unbind(rec: Recording, value: Value, args: Sequence[Any], out: Sequence[torch.Tensor]) -> None:
    """Cut one dimension in single indices and drop it."""
    if not out:
        return
    dim = (args[1] if len(args) > 1 else 0) % args[0].ndim
    whole = value.dims[dim]
    _pieces(rec, value, dim, [1] * len(out))
    for index, tensor in enumerate(out):
        _put_part(rec, tensor, with_dim(value, dim, None), whole, index)


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
    _put_part(rec, out, with_dim(value, dim, None), whole, index)


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
        part = with_dim(value, dim, _pieces(rec, value, dim, sizes)[1])
        if are_places(rec, whole):
            part = replace(part, beside=(dim - out.ndim, start, sizes[2]))
    _put_part(rec, out, part, whole, start, out.shape[dim])


def _every(rec: Recording, value: Value, dim: int, start: int, step: int, count: int) -> Value:
    """Return what is known of every `step`-th index of a dimension: it runs over the outer factor of it, such as pairs
    of channels that a rotary embedding turns."""
    whole = count * step == rec.table.size(value.dims[dim]) and start < step
    pieces = rec.table.split_product(value.dims[dim], [count, step]) if whole else None
    noted = note_every(rec, value, dim, start, step)
    if pieces is None:
        return with_dim(value, dim, rec.fresh(count))
    return replace(with_dim(value, dim, pieces[0]), every=(*value.every, (pieces[1], start, noted)))


def glu(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply one half of a dimension with the gate that the other half gives."""
    dim = (args[1] if len(args) > 1 else -1) % out.ndim
    kept, gate = _pieces(rec, value, dim, [out.shape[dim]] * 2)
    rec.table.unite(kept, gate)
    node = rec.node("glu", (value.node,)) if value.node >= 0 else -1
    rec.put(out, replace(with_dim(value, dim, kept), node=node))
