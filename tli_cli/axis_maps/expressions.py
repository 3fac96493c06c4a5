"""Axis expressions as they stand in a plan: how many indices one takes or gives, and what it makes of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from tli_cli.axis_maps.parting import outputs_of, phases_of
from tli_cli.axis_maps.take import MapValues
from tli_cli.pieces import AxisExpression, AxisMap


class InvalidExpression(Exception):
    """An axis expression that is none, or names a map that is not there."""


def measured(expression: AxisExpression, sizes: Sequence[int]) -> int:
    """Return the size of `expression`, where `sizes` are those of the plan's maps, rows or columns.

    Raises:
        InvalidExpression: it has another form than `AxisExpression` says.
    """
    if isinstance(expression, int) and not isinstance(expression, bool):
        if not 0 <= expression < len(sizes):
            raise InvalidExpression(f"map {expression} is not there: the plan has {len(sizes)}")
        return sizes[expression]
    if not isinstance(expression, tuple) or len(expression) < 2 or expression[0] not in ("+", "*"):
        raise InvalidExpression(f"expected a map's index or ['+' or '*', parts ...], found {str(expression)[:60]}")
    parts = [measured(part, sizes) for part in expression[1:]]
    return sum(parts) if expression[0] == "+" else prod(parts)


def expression_rows(expression: AxisExpression, maps: Sequence[AxisMap]) -> int:
    """Return how many target indices `expression` gives."""
    return measured(expression, [m.rows for m in maps])


def expression_columns(expression: AxisExpression, maps: Sequence[AxisMap]) -> int:
    """Return how many source indices `expression` takes."""
    return measured(expression, [m.columns for m in maps])


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
    """Return `tensor` with dimension `dim` taken through `expression`, as what sums over it if `contracted`."""
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
