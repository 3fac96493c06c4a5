"""Whether a norm averages over channels of which some have more copies than others."""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import prod

from tli_cli.architecture import Layer
from tli_cli.axis_maps.expressions import expression_columns
from tli_cli.pieces import AxisExpression, Piece
from tli_cli.planning.spaces.maps import MapBook


def averages_unevenly(layer: Layer, source: Layer, piece: Piece, book: MapBook) -> bool:
    """Tell whether a norm averages over parts end to end that do not all grow by one whole factor; where it does so
    group by group, whether a part that grows has channels in several groups."""
    flavour = layer.attribute("norm")
    over = flavour in ("layer", "rms") or (flavour == "group" and layer.attribute("positions", 1) > 1)
    summed = [e for e in piece.axes if isinstance(e, tuple) and e[0] == "+"]
    if layer.kind != "norm" or not over or not summed:
        return False
    groups = layer.averages or 1
    if groups == 1:
        factors = {_factor(part, book) for part in summed[-1][1:]}
        return factors != {float(round(max(factors)))}
    runs = _runs(summed[-1], book)
    if source.averages == prod(expression_columns(e, book.maps) for e in piece.axes):
        return False  # each channel alone
    factors = {factor for _, factor in runs}
    if len(factors) > 1 or groups != source.averages or not min(factors).is_integer():
        return factors != {1.0}
    ends = list(accumulate(columns for columns, _ in runs))
    size = ends[-1] // groups
    return size > 0 and any(start // size != (end - 1) // size for start, end in pairwise([0, *ends]) if end > start)


def _runs(expression: AxisExpression, book: MapBook) -> list[tuple[int, float]]:
    """Return the runs of source channels, in order, whose copies stand in their place, and how many of each."""
    if isinstance(expression, int):
        made = book.maps[expression]
        factor = made.rows / made.columns if made.columns else 0.0
        return [(1, 1.0)] * made.columns if made.rule == "same" else [(made.columns, factor)]
    if expression[0] == "+":
        return [run for part in expression[1:] for run in _runs(part, book)]
    first, rest = expression[1], expression[2:]
    outer = book.maps[first] if isinstance(first, int) else None
    inner = _runs(rest[0] if len(rest) == 1 else ("*", *rest), book)
    if outer is not None and outer.rule == "same":
        return inner * outer.columns
    return [(expression_columns(expression, book.maps), _factor(expression, book))]


def _factor(expression: AxisExpression, book: MapBook) -> float:
    """Return how many times as many indices an expression makes as it takes; 0 where it takes none."""
    if isinstance(expression, int):
        made = book.maps[expression]
        return made.rows / made.columns if made.columns else 0.0
    factors = [_factor(child, book) for child in expression[1:]]
    return prod(factors) if expression[0] == "*" else factors[0] if len(set(factors)) == 1 else 0.0
