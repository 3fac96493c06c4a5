"""How sums, means and deviations over some dimensions couple the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tli_cli.describe.spaces import leaves
from tli_cli.describe.tracing.elementwise import first_of
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def reduce_(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Reduce some dimensions (mean, sum, maximum, norm)."""
    value, result = rec.get(args[0]), first_of(out)
    if value is None:
        return
    where = next((a for a in args[1:] if isinstance(a, (list, tuple))), None)
    if where is None:
        where = [a for a in args[1:2] if isinstance(a, int) and not isinstance(a, bool)]
    reduced = {d % args[0].ndim for d in where} if where else set(range(args[0].ndim))
    keep = result.ndim == args[0].ndim
    pairs = [(value.dims[d] if d not in reduced else rec.fresh(1), d) for d in range(args[0].ndim)]
    dims = tuple(tree for tree, d in pairs if keep or d not in reduced)
    summed = value.standardised or (value.node < 0 and bool(value.names))
    rec.put(result, replace(value, dims=dims, origins=(), node=value.node, standardised=summed))


def maximum(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Take the largest over some dimensions; over places, which are left out then, that is a pool."""
    reduce_(rec, args, out)
    value, result = rec.get(args[0]), rec.get(first_of(out))
    if value is None or result is None or value.node < 0 or len(result.dims) == len(value.dims):
        return
    if _shrinks_places(rec, value, result):
        rec.put(first_of(out), replace(result, node=rec.node("max_pool", (value.node,))))


def mean_(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Average over some dimensions; over channels, their copies have to be as many of each."""
    reduce_(rec, args, out)
    value, result = rec.get(args[0]), rec.get(out)
    if value is None or result is None:
        return
    if value.node >= 0 and len(args) > 1 and isinstance(args[1], (list, tuple)):
        rec.note_mean(args[0], first_of(out), [value.dims[d] for d in args[1]])
    if _shrinks_places(rec, value, result):
        rec.put(first_of(out), replace(result, averaged=True))


def _shrinks_places(rec: Recording, before: Value, after: Value) -> bool:
    """Tell whether a value of several places became one of fewer."""
    mine, theirs = ({leaf for t in v.dims for leaf in leaves(rec.table.resolve(t))} for v in (before, after))
    return any(rec.table.kind(leaf) == "grid" and rec.table.size(leaf) > 1 for leaf in mine - theirs)


def sum_(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Add up some dimensions."""
    value = rec.get(args[0])
    if value is not None and value.node >= 0 and len(args) > 1 and isinstance(args[1], (list, tuple)):
        rec.dotted += [value.dims[d] for d in args[1]]
        rec.note_dot(value.node, [value.dims[d] for d in args[1]])
    reduce_(rec, args, out)


def deviation(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Reduce some dimensions to their deviation or length."""
    reduce_(rec, args, out)
    if (value := rec.get(first_of(out))) is not None:
        rec.put(first_of(out), replace(value, root=True))
