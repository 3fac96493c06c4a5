"""How tensors that are laid together join their axes, and how channels move to places, back, and among each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Origin, Value, are_addends


def concatenate(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Lay tensors end to end; parameters among them become layers of kind `token` when joined to activations."""
    tensors = [t for t in args[0] if t.shape != (0,)]
    dim = (args[1] if len(args) > 1 else 0) % max(out.ndim, 1)
    values = [rec.get(t) for t in tensors]
    known = [v for v in values if v is not None]
    if not known:
        return
    dims = list(known[0].dims)
    for d in range(out.ndim):
        if d == dim:
            parts = [
                rec.table.resolve(v.dims[d]) if v else rec.fresh(t.shape[d], "channels")
                for v, t in zip(values, tensors, strict=True)
            ]
            dims[d] = rec.table.summed(parts)
        else:
            for v in known[1:]:
                rec.table.unite(dims[d], v.dims[d])
    origins = tuple(frozenset().union(*(v.origin(d) for v in known)) for d in range(out.ndim))
    rec.put(out, join(rec, "cat", values, tuple(dims), origins))
    if None not in values and len({v.node < 0 for v in known}) == 1:
        rec.joined[id(out)] = dim, tuple(tensors)


def taken_apart(rec: Recording, joined: torch.Tensor, dim: int, start: int, size: int) -> Value | None:
    """Return what is known of the tensor that was laid into `joined` at `start`, such as one bias of those of queries,
    keys and values, or the sines beside cosines; None where another part of it is meant."""
    along, parts = rec.joined.get(id(joined), (-1, ()))
    for part in parts if along == dim else ():
        if start == 0 and part.shape[dim] == size:
            return rec.get(part)
        start -= part.shape[dim]
    return None


def join(
    rec: Recording, op: str, values: Sequence[Value | None], dims: tuple[AxisTree, ...], origins: tuple[Origin, ...]
) -> Value:
    """Return the value of a concatenation: a join of activations, with parameters among them as `token` layers."""
    known = [v for v in values if v is not None]
    if all(v.node < 0 for v in known):
        names = tuple(dict.fromkeys(n for v in known for n in v.names))
        return Value(dims, -1, names, origins, addends=are_addends(known))
    nodes = [rec.learned(v) if v.node < 0 and v.names else v.node for v in known]
    nodes = [node for node in nodes if node >= 0]
    return Value(dims, rec.node(op, nodes) if len(nodes) > 1 else nodes[0])


def stack(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Lay tensors along a new dimension."""
    dim = (args[1] if len(args) > 1 else 0) % out.ndim
    values = [rec.get(t) for t in args[0]]
    known = [v for v in values if v is not None]
    if not known:
        return
    dims = list(known[0].dims)
    for v in known[1:]:
        for mine, other in zip(dims, v.dims, strict=True):
            rec.table.unite(mine, other)
    origins = [frozenset().union(*(v.origin(d) for v in known)) for d in range(len(dims))]
    count = len(args[0])
    dims.insert(dim, rec.table.summed([rec.fresh(1) for _ in range(count)]) if 1 < count <= 16 else rec.fresh(count))
    origins.insert(dim, frozenset())
    rec.put(out, join(rec, "cat", values, tuple(dims), tuple(origins)))


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
