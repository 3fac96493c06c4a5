"""Axis expressions as they stand in a plan: how many indices one takes or gives."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

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
