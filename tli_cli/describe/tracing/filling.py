"""Values put in places of another tensor: images among the embeddings of text, outputs of experts among tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tli_cli.describe.tracing.elementwise import anything, shape_preserving
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def fill(rec: Recording, args: Sequence[Any], out: torch.Tensor, *, at: int) -> None:
    """Put argument `at` in places of the first: the result is made of both, over the same channels if sizes agree."""
    base, values = rec.get(args[0]), rec.get(args[at])
    shape_preserving(rec, base, out)
    if values is None or values.node < 0:
        return
    made = rec.get(out) if base is not None else None
    alike = bool(out.ndim and args[at].ndim) and args[at].shape[-1] == out.shape[-1]
    if made is None:
        dims = (*(rec.fresh(s) for s in out.shape[:-1]), values.dims[-1] if alike else rec.fresh(out.shape[-1]))
    else:
        dims = made.dims
        if alike:
            rec.table.unite(dims[-1], values.dims[-1])
    node = _joined(rec, base, values)
    rec.put(out, replace(values, dims=dims, origins=(), node=node))


def _joined(rec: Recording, base: Value | None, values: Value) -> int:
    if base is None or (base.node < 0 and not base.names) or base.node == values.node:
        return values.node
    return rec.node("where", [base.node if base.node >= 0 else rec.learned(base), values.node])


def write(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Write values into a tensor, or into a part of one that was made empty: that holds them from here on."""
    overwritten = rec.get(args[0]) is None and args[0].shape == args[1].shape
    anything(rec, "copy_", args[1:2] if overwritten else args, out)
    values, whole = rec.get(args[1]), rec.blank_around(args[0])
    if values is None or values.node < 0 or whole is None or whole is args[0]:
        return
    before = rec.get(whole)
    before = before if before is not None and before.node >= 0 else None
    dims = list(before.dims) if before is not None else [rec.fresh(size) for size in whole.shape]
    steps = whole.stride()
    for d, tree in enumerate(values.dims if len(values.dims) == args[0].ndim else ()):
        at = steps.index(args[0].stride(d)) if args[0].stride(d) in steps and args[0].shape[d] > 1 else -1
        if at >= 0 and whole.shape[at] == args[0].shape[d]:
            dims[at] = tree
    nodes = list(dict.fromkeys(v.node for v in (before, values) if v is not None))
    rec.put(whole, Value(tuple(dims), rec.node("cat", nodes) if len(nodes) > 1 else nodes[0]))


_VALUES = {
    "masked_scatter": 2,
    "index_put": 2,
    "_unsafe_index_put": 2,
    "index_copy": 3,
    "index_add": 3,
    "scatter_add": 3,
}
FILLS: dict[str, Callable[[Recording, Sequence[Any], Any], None]] = {
    **{name: partial(fill, at=at) for plain, at in _VALUES.items() for name in (plain, f"{plain}_")},
    "copy_": write,
}
