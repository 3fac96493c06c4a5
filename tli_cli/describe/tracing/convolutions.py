"""How convolutions couple axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.applied import constant, is_learned_input, placed, roles_of, standardised
from tli_cli.describe.tracing.elementwise import shape_preserving
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def convolution(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Convolve: output channels are the weight's, input channels are summed over within groups."""
    x, weight, bias = args[0], args[1], args[2]
    transposed, groups = bool(args[6]), int(args[8])
    value, kernel = rec.get(x), rec.get(weight)
    if kernel is None:
        shape_preserving(rec, value, out)
        rec.coded += [value.dims[1]] if value is not None and groups != x.shape[1] else []
        return
    if value is None:
        value = constant(rec, x, 1)
    if is_learned_input(rec, value, biased=bias is not None):
        value = replace(value, node=rec.learned(value))
    table = rec.table
    result = _channels(rec, value, kernel, out, transposed=transposed, groups=groups)
    rec.contract(kernel, 0 if transposed else 1)
    covered = [d for d in range(2, weight.ndim) if _covers_channels(rec, value, args, d, out)]
    for d in range(2, weight.ndim):
        if d in covered:
            table.unite(kernel.dims[d], value.dims[d])
        else:
            table.mark(kernel.dims[d], "kernel")
        rec.contract(kernel, d)
    if bias is not None and (shift := rec.get(bias)):
        table.unite(shift.dims[0], result)
    counted = placed(rec, _where_counted(x, out, transposed=transposed), 1)
    attributes = {"groups": groups, "stride": tuple(args[3])} | counted
    attributes |= {"transposed": True} if transposed else {}
    steps = tuple(1 if d in covered else weight.shape[d] for d in range(2, weight.ndim))
    attributes |= {"kernel": steps} | standardised(kernel)
    if value.node < 0:
        rec.put(out, Value(tuple(rec.fresh(s) for s in out.shape), names=value.names + kernel.names))
        return
    node = _conv_node(rec, value, kernel, bias, weight, attributes)
    _note_turned(rec, value)
    rec.put(out, Value((value.dims[0], result, *_slid_over(rec, value, out)), node))


def _where_counted(x: torch.Tensor, out: torch.Tensor, *, transposed: bool) -> torch.Tensor:
    """Return the side of a convolution whose places count: what it gives, but no places that zeros before a signal add,
    which code cuts off again."""
    return out if transposed else min(out, x, key=lambda side: side[0, 0].numel())


def _channels(
    rec: Recording, value: Value, kernel: Value, out: torch.Tensor, *, transposed: bool, groups: int
) -> AxisTree:
    """Return the channels that a convolution makes, and unite those that it takes with its kernel's."""
    table = rec.table
    outer, inner = (kernel.dims[1], kernel.dims[0]) if transposed else (kernel.dims[0], kernel.dims[1])
    if transposed:
        made = table.resolve(outer)
        table.unite(value.dims[1], inner)
        return made if groups == 1 else table.resolve(("*", rec.fresh(groups, "channels"), outer))
    if groups == 1:
        table.unite(value.dims[1], inner)
        return table.resolve(outer)
    group = rec.fresh(groups, "channels")
    table.unite(value.dims[1], table.resolve(("*", group, inner)))
    table.unite(outer, table.resolve(("*", group, rec.fresh(out.shape[1] // groups, "channels"))))
    return table.resolve(outer)


def _covers_channels(rec: Recording, value: Value, args: Sequence[Any], d: int, out: torch.Tensor) -> bool:
    """Tell whether a kernel is as long as dimension `d`, which runs over channels: it sums over all of them, as over
    the width of embedded words (arXiv 1408.5882)."""
    size = args[0].shape[d]
    channels = rec.table.kinds(value.dims[d]) == {"channels"}
    return channels and not args[6] and args[1].shape[d] == size > out.shape[d] == 1


def _slid_over(rec: Recording, value: Value, out: torch.Tensor) -> list[AxisTree]:
    """Return the dimensions that a kernel has slid over: fresh places, but channels stay what they are, whose order
    counts from here on (ECA, arXiv 1910.03151)."""
    table, dims = rec.table, list[AxisTree]()
    for d, size in enumerate(out.shape[2:], 2):
        channels = size > 1 and table.kinds(value.dims[d]) == {"channels"} and table.size(value.dims[d]) == size
        rec.coded += [value.dims[d]] if channels else []
        dims.append(value.dims[d] if channels else rec.fresh(size))
    return dims


def _note_turned(rec: Recording, value: Value) -> None:
    """Note that a map lies otherwise before a convolution than before the one that made it, such as its columns as
    rows."""
    made = [min(map(rec.table.made, rec.table.leaves(tree))) for tree in value.dims[2:]]
    if made != sorted(made) and rec.table.kinds(*value.dims[2:]) == {"grid"}:
        rec.numbers.append((rec.last, ("turned", *(sorted(made).index(place) for place in made))))


def _conv_node(rec: Recording, value: Value, kernel: Value, bias: Any, weight: Any, attributes: dict[str, Any]) -> int:
    if kernel.node >= 0:
        return rec.node("matmul", (value.node, kernel.node))
    return rec.apply_layer("conv", roles_of(rec, weight=weight, bias=bias), (value.node,), **attributes)
