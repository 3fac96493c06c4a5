"""Axis maps at work on a whole axis, which may run over several maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tli_cli.axis_maps.expressions import expression_columns
from tli_cli.axis_maps.parting import outputs_of, phases_of
from tli_cli.axis_maps.take import MapValues
from tli_cli.pieces import AxisExpression, AxisMap

if TYPE_CHECKING:
    import torch


def apply_expression(
    tensor: torch.Tensor,
    dim: int,
    expression: AxisExpression,
    maps: Sequence[AxisMap],
    values: Sequence[MapValues],
    contracted: bool,
) -> torch.Tensor:
    """Return `tensor` with dimension `dim` taken through `expression`, as a consumer of its channels if
    `contracted`."""
    import torch

    if isinstance(expression, int):
        take = values[expression].into if contracted else values[expression].out
        return tensor if take is None else take.apply(tensor, dim)
    sizes = [expression_columns(child, maps) for child in expression[1:]]
    if expression[0] == "+":
        parts = torch.split(tensor, sizes, dim)
        return torch.cat(
            [
                apply_expression(part, dim, child, maps, values, contracted)
                for part, child in zip(parts, expression[1:], strict=True)
            ],
            dim,
        )
    result = tensor.reshape(*tensor.shape[:dim], *sizes, *tensor.shape[dim + 1 :])
    for offset, child in enumerate(expression[1:]):
        result = apply_expression(result, dim + offset, child, maps, values, contracted)
    return result.flatten(dim, dim + len(sizes) - 1)


def apply_parted(tensor: torch.Tensor, tables: Sequence[Any], contracted: Sequence[bool]) -> torch.Tensor:
    """Return a weight, all of whose axes are mapped, with what each of its outputs divides in its own way among copies:
    `tables` are the factors `(PHASES, rows)` along each axis, None where there are none."""
    import torch

    at = outputs_of(tensor.shape, contracted)
    for dim, table in enumerate(tables):
        if table is None or at < 0:
            continue
        factors = torch.from_numpy(table[phases_of(tensor.shape[at])]).to(tensor)
        shape = [size if along in (at, dim) else 1 for along, size in enumerate(tensor.shape)]
        tensor = tensor * (factors if at < dim else factors.T).reshape(shape)
    return tensor
