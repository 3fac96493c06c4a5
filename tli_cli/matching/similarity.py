"""How alike two units are, in [0, 1]; 1 only for equal kind, shape, kernel, grouping and norm."""

from __future__ import annotations

from itertools import zip_longest
from math import sqrt

from tli_cli.matching.units import NO_VALUES, Unit

SHAPE, KERNEL = 0.6, 0.3
"""What a shape and a kernel that share nothing cost."""


KIND_LIKENESS = {
    frozenset({"conv", "dense"}): 0.7,
    frozenset({"position", "bias_table"}): 0.5,
    frozenset({"token", "position"}): 0.0,
    frozenset({"scale", "norm"}): 0.2,
}
MATRICES = frozenset({"conv", "dense"})
"""Kinds of which neither has anything of a grouped one of the other: a depthwise kernel mixes no channels."""

LOOKED_UP = frozenset({"embedding", "position"})
TABLES = ("position", "token_type")
"""Roles of tables whose rows are looked up by numbers that one network makes of its input and another has in code."""

NORM_LIKENESS = {
    frozenset({"layer", "rms"}): 0.7,
    frozenset({"layer", "group"}): 0.5,
    frozenset({"batch", "group"}): 0.4,
}


def size_likeness(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    """Return the geometric mean of the ratios of sizes, smaller over larger, axis by axis from the first."""
    ratios = 1.0
    for a, b in zip_longest(first, second, fillvalue=1):
        ratios *= max(min(a, b), 1) / max(a, b, 1)
    return root(ratios, max(len(first), len(second)))


def root(value: float, degree: int) -> float:
    """Return a root of `value`; square roots alone are the same to the last digit wherever they are worked out."""
    if degree <= 1:
        return value
    if degree == 2:
        return sqrt(value)
    return sqrt(sqrt(value)) if degree == 4 else value ** (1 / degree)


def kind_likeness(first: Unit, second: Unit) -> float:
    """Return how alike the operations are, sizes apart."""
    alike = first.flavour == second.flavour
    if first.kind != second.kind:
        kinds = frozenset({first.kind, second.kind})
        if kinds == LOOKED_UP and first.role == second.role in TABLES:
            return 0.9
        return KIND_LIKENESS.get(kinds, 0.0) if alike or kinds != MATRICES else 0.0
    if alike:
        return 1.0
    if first.kind == "norm":
        return NORM_LIKENESS.get(frozenset({first.flavour, second.flavour}), 0.25)
    return 0.0 if NO_VALUES in (first.flavour, second.flavour) else 0.3


_KNOWN: dict[tuple[int, int], float] = {}
_MOST_KNOWN = 1 << 20


def unit_similarity(first: Unit, second: Unit) -> float:
    """Return the similarity of two units by what they are, not by where they stand."""
    key = (first.label, second.label)
    known = _KNOWN.get(key)
    if known is None:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[key] = _similarity(first, second)
    return known


def _similarity(first: Unit, second: Unit) -> float:
    manner = manner_likeness(first, second)
    return manner * (1 - SHAPE + SHAPE * size_likeness(first.shape, second.shape)) if manner else 0.0


def manner_likeness(first: Unit, second: Unit) -> float:
    """Return how alike two units are in all but their shapes."""
    kernel = size_likeness(first.kernel, second.kernel) if first.kernel and second.kernel else 1.0
    roles = 1.0 if first.role == second.role or not first.role or not second.role else 0.6
    return kind_likeness(first, second) * (1 - KERNEL + KERNEL * kernel) * roles
