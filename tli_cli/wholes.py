"""What a stage can be fed with as a whole, whatever partners its layers have.

A fit makes a stage of the target compute what the source's stage at its place computes, if it mixes places by the same
means: convolutions can stand in for other convolutions, attention for attention. So a layer is worth

    layers * (its own worth) + whole,    layers + whole <= 1

where `whole` grows with how alike the stages work (`kinship`) and stand between input and output (`level`), and
`layers` falls where they work differently: a projection that was made for attention says little beside a convolution.
"""

from __future__ import annotations

PARTS = 1 << 10
"""The parts that a layer's weight is divided into, so that sums are of whole numbers."""

WHOLE = 0.5
"""What a stage without a single partner is worth, where all else is alike."""

ALIEN = 0.1
"""What a layer keeps of its worth where the two stages work by different means."""


def stage_shares(kinship: float, level: float) -> tuple[int, int]:
    """Return `(layers, whole)` of a pair of stages, in units of 1 / `PARTS`; together `PARTS` where `kinship` is 1.

    >>> stage_shares(1.0, 1.0), stage_shares(0.0, 1.0)
    ((512, 512), (102, 0))
    """
    whole = round(PARTS * WHOLE * kinship * level)
    return round((PARTS - whole) * (ALIEN + (1 - ALIEN) * kinship)), whole


def fed_in_stage(own: int, weight: int, shares: tuple[int, int]) -> int:
    """Return what a unit of `weight` in such a stage is fed, `own` of it by its partner, in units of 1 / `PARTS`."""
    layers, whole = shares
    return PARTS * own if own == weight else layers * own + whole * weight
