"""Values put in places of another tensor: images among the embeddings of text, experts' outputs among tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tli_cli.describe.elementwise import shape_preserving
from tli_cli.describe.recording import Recording, Value


def fill(rec: Recording, args: Sequence[Any], out: torch.Tensor, *, at: int) -> None:
    """Put argument `at` in places of the first: the result is made of both, over the same channels if sizes agree."""
    base, values = rec.get(args[0]), rec.get(args[at])
    shape_preserving(rec, base, out)
    if values is None or values.node < 0:
        return
    made = rec.get(out) if base is not None else None
    dims = made.dims if made is not None else tuple(rec.fresh(size) for size in out.shape)
    if dims and args[at].ndim and args[at].shape[-1] == out.shape[-1]:
        rec.table.unite(dims[-1], values.dims[-1])
    node = _joined(rec, base, values)
    rec.put(out, replace(values, dims=dims, origins=(), node=node))


def _joined(rec: Recording, base: Value | None, values: Value) -> int:
    if base is None or (base.node < 0 and not base.names) or base.node == values.node:
        return values.node
    return rec.node("where", [base.node if base.node >= 0 else rec.learned(base), values.node])


_VALUES = {
    "masked_scatter": 2,
    "index_put": 2,
    "_unsafe_index_put": 2,
    "index_copy": 3,
    "index_add": 3,
    "scatter_add": 3,
}
FILLS: dict[str, Callable[[Recording, Sequence[Any], Any], None]] = {
    name: partial(fill, at=at) for plain, at in _VALUES.items() for name in (plain, f"{plain}_")
}
