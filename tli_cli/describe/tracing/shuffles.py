"""How operations move channels to places, places to channels, and channels among each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tli_cli.describe.tracing.recording import Recording


def pixel_shuffle(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Spread channels over a finer grid: the factor's square of them stand for one."""
    value, factor = rec.get(args[0]), int(args[1])
    if value is None:
        return
    channel = out.ndim - 3
    pieces = rec.table.split_product(value.dims[channel], [out.shape[channel], factor, factor])
    made = pieces[0] if pieces else rec.fresh(out.shape[channel], "channels")
    rec.same_shape(value, out, dims=(*value.dims[:channel], made, *(rec.fresh(s) for s in out.shape[-2:])), origins=())


def pixel_unshuffle(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Put the places of squares beside each other as channels."""
    value, factor = rec.get(args[0]), int(args[1])
    if value is None:
        return
    channel = out.ndim - 3
    made = [rec.table.resolve(value.dims[channel]), *(rec.fresh(factor, "channels") for _ in range(2))]
    dims = (*value.dims[:channel], rec.table.multiplied(made), *(rec.fresh(s) for s in out.shape[-2:]))
    rec.same_shape(value, out, dims=dims, origins=())


def channel_shuffle(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Take channels in turn from groups of them."""
    value, groups = rec.get(args[0]), int(args[1])
    if value is None:
        return
    pieces = rec.table.split_product(value.dims[1], [groups, out.shape[1] // groups])
    made = rec.table.multiplied([rec.table.resolve(tree) for tree in reversed(pieces)]) if pieces else None
    dims = (value.dims[0], rec.fresh(out.shape[1], "channels") if made is None else made, *value.dims[2:])
    rec.same_shape(value, out, dims=dims, origins=())
