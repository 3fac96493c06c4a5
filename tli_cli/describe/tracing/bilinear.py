"""How a layer that multiplies two activations by one weight couples axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tli_cli.describe.tracing.applied import positions, roles_of
from tli_cli.describe.tracing.elementwise import anything
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def trilinear(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply two activations by a weight `(out, first, second)`, as `nn.Bilinear` does: a linear layer over all their
    products."""
    first, weight, second = (rec.get(tensor) for tensor in args[:3])
    if first is None or weight is None or second is None or min(first.node, second.node) < 0 or weight.node >= 0:
        anything(rec, "_trilinear", args, out)
        return
    for d, value in ((1, first), (2, second)):
        rec.table.unite(weight.dims[d], value.dims[-1])
        rec.contract(weight, d)
    products = rec.node("matmul", (first.node, second.node))
    node = rec.apply_layer("linear", roles_of(rec, weight=args[1]), (products,), positions=positions(rec, out, -1))
    rec.put(out, Value((*first.dims[:-1], weight.dims[0]), node))
