"""How operations move channels to places, places to channels, and channels among each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.elementwise import anything
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def pixel_shuffle(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Spread channels over a finer grid: the factor's square of them stand for one."""
    factor = int(args[1])
    channel = out.ndim - 3
    pieces = rec.table.split_product(value.dims[channel], [out.shape[channel], factor, factor])
    made = pieces[0] if pieces else rec.fresh(out.shape[channel], "channels")
    rec.same_shape(value, out, dims=(*value.dims[:channel], made, *(rec.fresh(s) for s in out.shape[-2:])), origins=())


def pixel_unshuffle(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Put the places of squares beside each other as channels."""
    *lead, channel, _, _ = value.dims
    (rows, row), (columns, column) = (_windows(rec, tree, int(args[1])) for tree in value.dims[-2:])
    rec.same_shape(value, out, dims=(*lead, rec.table.resolve(("*", channel, row, column)), rows, columns), origins=())


def im2col(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Lay windows that cover a map one beside the other in columns; of others the places are nobody's."""
    tensor, kernel, stride = args[0], args[1], args[4] if len(args) > 4 else (1, 1)
    if [*kernel] != [*stride] or prod(kernel) * out.shape[-1] != prod(tensor.shape[-2:]):
        anything(rec, "im2col", args, out)
        return
    *lead, channel, _, _ = value.dims
    (rows, row), (columns, column) = map(partial(_windows, rec), value.dims[-2:], kernel)
    dims = [rec.table.resolve(("*", *axes)) for axes in ((channel, row, column), (rows, columns))]
    rec.same_shape(value, out, dims=(*lead, *dims), origins=())


def unfold(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Cut a dimension in windows that cover it, along a last one; of others the places are nobody's."""
    dim, size, step = args[1] % args[0].ndim, args[2], args[3]
    if size != step or args[0].shape[dim] != size * out.shape[dim]:
        anything(rec, "unfold", args, out)
        return
    windows, inside = _windows(rec, value.dims[dim], size)
    rec.same_shape(value, out, dims=(*value.dims[:dim], windows, *value.dims[dim + 1 :], inside), origins=())


def _windows(rec: Recording, tree: AxisTree, size: int) -> Sequence[AxisTree]:
    """Return the windows of `size` indices that cover an axis, and what lies in them."""
    sizes = [rec.table.size(tree) // size, size]
    return rec.table.split_product(tree, sizes) or [rec.fresh(size) for size in sizes]


def channel_shuffle(rec: Recording, value: Value, args: Sequence[Any], out: torch.Tensor) -> None:
    """Take channels in turn from groups of them."""
    groups = int(args[1])
    pieces = rec.table.split_product(value.dims[1], [groups, out.shape[1] // groups])
    made = rec.table.resolve(("*", *reversed(pieces))) if pieces else None
    dims = (value.dims[0], rec.fresh(out.shape[1], "channels") if made is None else made, *value.dims[2:])
    rec.same_shape(value, out, dims=dims, origins=())
