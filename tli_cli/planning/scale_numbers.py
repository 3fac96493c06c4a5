"""By what code scales values, and which power of the width that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isclose, prod

from tli_cli.architecture import Architecture
from tli_cli.noted import Number

SCALES = ("mul", "div", "baddbmm")
SHRINKING = (-1.0, -0.5, -0.25)
"""The powers of the width of heads by which their products are scaled; of the last one both sides are."""
POWERS = (*SHRINKING, 0.25, 0.5, 1.0)
TOLERANCE = 1e-6


def scale_of(architecture: Architecture, places: Iterable[int]) -> float:
    """Return the product of the scales written in code after the layers `places`."""
    return prod(factor_of(n) for place in places for n in architecture.layers[place].numbers if n[0] in SCALES)


def width_power(numbers: Iterable[Number], width: int, powers: Sequence[float] = POWERS) -> float:
    """Return which power of `width` the scales among `numbers` are in all, of those that are one of `powers` of it.

    >>> width_power([("mul", 0.25), ("mul", 3.0)], 16)
    -0.5
    """
    factors = [factor_of(number) for number in numbers if number[0] in SCALES]
    return sum(p for factor in factors for p in powers if width > 1 and isclose(factor, width**p, rel_tol=TOLERANCE))


def factor_of(number: Number) -> float:
    """Return by what a scale multiplies."""
    if number[0] == "baddbmm":
        return float(number[2]) if len(number) > 2 else 1.0
    value = float(number[1])
    return 1.0 / value if number[0] == "div" and value else value
