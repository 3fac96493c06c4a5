"""How tensors that are laid together join their axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
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
            dims[d] = _unfolded(rec, values, parts) or rec.table.summed(parts)
        else:
            for v in known[1:]:
                rec.table.unite(dims[d], v.dims[d])
    origins = tuple(frozenset().union(*(v.origin(d) for v in known)) for d in range(out.ndim))
    rec.put(out, join(rec, "cat", values, tuple(dims), origins))
    if None not in values and len({v.node < 0 for v in known}) == 1:
        rec.joined[id(out)] = dim, tuple(tensors)


def _unfolded(rec: Recording, values: Sequence[Value | None], parts: Sequence[AxisTree]) -> AxisTree | None:
    """Return what the axis runs over along which every second row and column of a map, or more of them, lie end to
    end in turn: the places that each stands for, the slowest first, times what each has; None where none do."""
    parted = [value for value in values if value is not None and rec.nodes[value.node].op == "part"]
    taken = [{rec.table.resolve(factor): at for factor, at, _ in value.every} for value in parted]
    factors = {factor for found in taken for factor in found}
    if len(taken) < len(values) or any(set(found) != factors for found in taken) or len(set(parts)) > 1:
        return None
    for order in permutations(sorted(factors, key=str)):
        turns = product(*(range(rec.table.size(factor)) for factor in order))
        if [tuple(found[factor] for factor in order) for found in taken] == list(turns):
            rec.forgotten.update(number for value in parted for _, _, number in value.every)
            return rec.table.resolve(("*", *order, parts[0]))
    return None


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
