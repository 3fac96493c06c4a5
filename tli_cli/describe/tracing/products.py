"""Products of matrices and vectors: layers where a weight meets a value, tables that are looked up, joins of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.applied import constant, placed, positions, roles_of, standardised
from tli_cli.describe.tracing.elementwise import anything, shape_preserving
from tli_cli.describe.tracing.numbers import constants_among, note_constants
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def matmul(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply matrices `(..., n, k) x (..., k, m)`: a linear layer, or a join of two activations."""
    _multiply(rec, args[0], args[1], None, out)


def matrix_vector(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply a matrix by a vector: parameters by a buffer, as spectral norms do, are still parameters."""
    matrix, vector = rec.get(args[0]), rec.get(args[1])
    if matrix is None or vector is None or matrix.node >= 0 or not rec.is_buffer(vector) or rec.is_buffer(matrix):
        matmul(rec, args, out)
    else:
        rec.put(out, Value(matrix.dims[:1], -1, matrix.names + vector.names, standardised=True))


def dot(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply two vectors to one number."""
    known = [value for value in map(rec.get, args[:2]) if value is not None]
    made = [value for value in known if not rec.is_buffer(value)]
    if len(known) == 2 and len(made) == 1 and made[0].node < 0:
        rec.put(out, Value((), -1, tuple(n for value in known for n in value.names), standardised=True))
    else:
        anything(rec, "dot", args, out)


def addmm(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Multiply matrices and add a bias."""
    _multiply(rec, args[1], args[2], args[0], out)
    note_constants(rec, (args[0], out), out)
    if constants_among(rec, args[:1]) and (value := rec.get(out)) is not None:
        rec.put(out, replace(value, masked=True))


def _multiply(rec: Recording, left: Any, right: Any, bias: Any, out: torch.Tensor) -> None:
    a, b, shift = _operand(rec, left, right, -1), _operand(rec, right, left, -2), rec.get(bias)
    if a is None or b is None:
        shape_preserving(rec, a or b, out)
        rec.coded += [a.dims[-1]] if a is not None else [b.dims[max(-2, -right.ndim)]] if b is not None else []
        return
    rec.table.unite(a.dims[-1], b.dims[-2] if right.ndim > 1 else b.dims[-1])
    lead = tuple(a.dims[:-2])
    for mine, other in zip(lead, b.dims[:-2], strict=False):
        rec.table.unite(mine, other)
    dims: tuple[AxisTree, ...] = (*lead, a.dims[-2], b.dims[-1])[-out.ndim :] if out.ndim > 1 else (a.dims[0],)
    if shift:
        rec.table.unite(shift.dims[-1], dims[-1])
    heads = frozenset[tuple[str, int]]().union(*map(a.origin, range(len(a.dims) - 2)))
    is_query = bool(shift or a.expanded if b.node < 0 else heads & a.origin(len(a.dims) - 1))
    if a.node < 0 and is_query and a.names and not rec.is_buffer(a):
        a = replace(a, node=rec.learned(a))  # a learned query, which is projected or cut into heads
    if a.node < 0 and b.node < 0:
        _of_parameters(rec, (a, b), dims, min(left.ndim, right.ndim) > 1, out)
    elif a.node >= 0 and b.node >= 0:
        _of_values(rec, (a, b), dims, (bias, shift), out)
    else:
        _linear(rec, (left, right), (a, b), (bias, shift), dims, out)


def _of_parameters(
    rec: Recording, sides: tuple[Value, Value], dims: tuple[AxisTree, ...], wide: bool, out: torch.Tensor
) -> None:
    """Note a product of what is made of parameters alone, of which both are `wide`, no vectors, or not."""
    a, b = sides
    ahead = ([v.origin(d) for d in range(out.ndim - 2)] for v in sides)
    origins = (*map(frozenset.union, *ahead), a.origin(-2), b.origin(-1)) if wide else ()
    summed = out.ndim < 2 or a.standardised or b.standardised
    rec.put(out, Value(dims, -1, a.names + b.names, origins, standardised=summed))
    rec.coded.append(a.dims[-1])  # nothing divides copies of what both sides hold


def _of_values(
    rec: Recording,
    sides: tuple[Value, Value],
    dims: tuple[AxisTree, ...],
    bias: tuple[Any, Value | None],
    out: torch.Tensor,
) -> None:
    """Note a product of two values, to which a `bias`, a tensor with its value, may be added."""
    a, b = sides
    over = [v.over if v.rsqrt else () for v in sides]
    rec.dotted += [] if rec.statistics.meet(over, [a.dims[-1]]) else [a.dims[-1]]
    added = bias[1] is not None and not rec.is_buffer(bias[1])  # such as offsets of a table in place of a mask
    product = torch.empty_like(out) if added else out
    node = rec.node("matmul", (a.node, b.node))
    rec.note_dot(node, [a.dims[-1]])
    rec.put(product, Value(dims, node))
    if added:
        anything(rec, "add", (product, bias[0]), out)


def _linear(
    rec: Recording,
    tensors: tuple[Any, Any],
    sides: tuple[Value, Value],
    bias: tuple[Any, Value | None],
    dims: tuple[AxisTree, ...],
    out: torch.Tensor,
) -> None:
    """Note a product of a value and a weight, in either order, as a layer, or as a table that is looked up."""
    behind = sides[1].node < 0
    (weight, data), value = (tensors[::-1], sides[1]) if behind else (tensors, sides[0])
    given, shift = sides[0] if behind else sides[1], bias[1]
    rec.contract(value, max(-2, -len(value.dims)) if behind else -1)
    if len(value.dims) > 1:
        rec.make(value, -1 if behind else -2)
    attributes = placed(rec, out, out.ndim - 1 if behind else out.ndim - 2) | standardised(value)
    inputs = [given.node] + ([shift.node] if shift and shift.node >= 0 else [])
    if rec.nodes[given.node].op == "constant" and _is_looked_up(rec, value):
        rec.put(out, Value(dims, rec.apply_layer("position", {"weight": value.names}, (), relative=True)))
        return
    if rec.nodes[given.node].op == "constant" and not rec.is_uniform(data):
        rec.coded.append(sides[0].dims[-1])
    node = rec.apply_layer("linear", roles_of(rec, weight=weight, bias=bias[0]), inputs, **attributes)
    made = _part_of_weight(rec, value, -1 if behind else -2, node) if len(value.dims) > 1 else node
    rec.put(out, Value(dims, made))


def _is_looked_up(rec: Recording, value: Value) -> bool:
    """Tell whether a parameter that meets a constant is a table of offsets, `(heads, 2h - 1, 2w - 1)`, whose rows and
    columns a constant of zeros and ones picks; mark these."""
    if len(value.names) != 1:
        return False
    dims = rec.parameter_dims[value.names[0]]
    found = len(dims) == 3 and all(rec.table.size(d) % 2 for d in dims[1:])
    for tree in dims[1:] if found else ():
        rec.table.mark(tree, "grid")
    return found


def _part_of_weight(rec: Recording, weight: Value, dim: int, node: int) -> int:
    """Return the node of what a slice of a weight makes: a part of what the whole weight would make."""
    origin = weight.origin(dim % len(weight.dims))
    if len(origin) != 1:
        return node
    name, axis = next(iter(origin))
    whole, piece = rec.table.resolve(rec.parameter_dims[name][axis]), rec.table.resolve(weight.dims[dim])
    start = rec.table.start_of(piece, whole)
    if start < 0 or rec.table.size(piece) == rec.table.size(whole):
        return node
    return rec.part_of_weight(node, whole, piece, start)


def _operand(rec: Recording, tensor: Any, other: Any, summed: int) -> Value | None:
    """Return what is known of one side of a product that sums over dimension `summed` of it; a constant or buffer that
    meets a parameter counts as an input."""
    value, partner = rec.get(tensor), rec.get(other)
    if partner is None or partner.node >= 0 or rec.is_buffer(partner):
        return value
    if value is None:
        return constant(rec, tensor, max(summed, -tensor.ndim) % tensor.ndim)
    return Value(value.dims, rec.node("constant", ())) if rec.is_buffer(value) else value


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
