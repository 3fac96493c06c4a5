"""How blocks mix places: by convolutions, by attention or by a fixed map over tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from tli_cli.matching.similarity import root
from tli_cli.matching.units import Unit

CONVOLUTION, ATTENTION, TOKENS = KINDS = ("convolution", "attention", "tokens")
QUERIES = frozenset({"q", "qkv"})

Shares = tuple[float, float, float]
"""How much of the mixing is of each of `KINDS`; all zero where nothing is mixed."""


def mixing_kinds(units: Sequence[Unit], positions: int) -> frozenset[str]:
    """Return the kinds of mixing in a block that holds its values at so many `positions` (0 if unknown)."""
    return frozenset(kind for unit in units if (kind := _kind(unit, positions)))


def _kind(unit: Unit, positions: int) -> str:
    if unit.attends or unit.role in QUERIES:
        return ATTENTION
    if unit.kind == "conv":
        return CONVOLUTION if _convolves(unit) else ""
    turned = unit.kind == "dense" and not unit.kernel and unit.positions not in (0, 1, positions)
    return TOKENS if turned and positions > 1 and positions in unit.shape else ""


def _convolves(unit: Unit) -> bool:
    return unit.kind == "conv" and max(unit.kernel, default=1) > 1 and unit.positions != 1


def widest_window(units: Iterable[Unit]) -> float:
    """Return the side of the largest window that a block's convolutions look through, 0 if it has none."""
    return max((root(prod(unit.kernel), len(unit.kernel)) for unit in units if _convolves(unit)), default=0.0)


def mixing_shares(blocks: Iterable[frozenset[str]]) -> Shares:
    """Return the shares of each kind over blocks that mix by the given kinds, each block counting alike."""
    mixing = [kinds for kinds in blocks if kinds]
    counts = [sum(1 / len(kinds) for kinds in mixing if kind in kinds) for kind in KINDS]
    convolution, attention, tokens = (count / max(len(mixing), 1) for count in counts)
    return convolution, attention, tokens


def mixing_likeness(first: Shares, second: Shares) -> float:
    """Return the share of the mixing that is of one kind, in [0, 1]; 1 where neither side mixes.

    >>> mixing_likeness((1.0, 0.0, 0.0), (0.5, 0.5, 0.0))
    0.5
    """
    if not any(first) and not any(second):
        return 1.0
    return min(first[0], second[0]) + min(first[1], second[1]) + min(first[2], second[2])


def mixing_reach(target: Shares, source: Shares) -> float:
    """Return the share of the mixing in which the target's can do what the source's does, in [0, 1].

    That is what is of one kind, and what attention can do beside: it looks at all places at once, and so can stand in
    for any other kind (for convolutions: arXiv 1911.03584).

    >>> mixing_reach((1.0, 0.0, 0.0), (0.5, 0.5, 0.0)), mixing_reach((0.5, 0.5, 0.0), (1.0, 0.0, 0.0))
    (0.5, 1.0)
    """
    alike = mixing_likeness(target, source)
    attention = max(target[1] - source[1], 0.0)
    return alike + min(sum(source) - alike, attention) if any(source) else alike
