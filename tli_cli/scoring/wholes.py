"""What a stage can be fed with as a whole, whatever partners its layers have.

A fit makes a stage of the target compute what the source's stage at its place computes, if its means of mixing places
can do that: convolutions can stand in for other convolutions, attention for all that there is. So a layer is worth

    layers * (its own worth) + whole,    layers + whole <= room <= 1

where `whole` grows with how far the target's means can do what the source's do (`reach`), and with how alike the two
stand between input and output (`level`). `layers` falls where they do not work alike (`kinship`): a projection that was
made for attention says little beside a convolution.
`room` (`room_for` of `matching/residuals.py`) is less than 1 where the target has fewer blocks than the source: what
the others did is lost.
"""

from __future__ import annotations

PARTS = 1 << 10
"""The parts that a layer's weight is divided into, so that sums are of whole numbers."""

WHOLE = 0.4
"""What a stage without a single partner is worth, where all else is alike."""

ALIEN = 0.1
"""What a layer keeps of its worth where the two stages work by different means."""

Shares = tuple[int, int, int]
"""`(layers, whole, room)` of a pair of stages, in units of 1 / `PARTS`."""


def stage_shares(kinship: float, fit: float, room: float = 1.0) -> Shares:
    """Return the shares of a pair of stages; `layers` and `whole` are `room` together where `kinship` is 1.

    `fit` is `reach` times `level`.

    >>> stage_shares(1.0, 1.0), stage_shares(0.0, 1.0), stage_shares(0.0, 0.0)
    ((614, 410, 1024), (61, 410, 1024), (102, 0, 1024))
    """
    most = round(PARTS * room)
    whole = round(PARTS * WHOLE * fit * room)
    return round((most - whole) * (ALIEN + (1 - ALIEN) * kinship)), whole, most


def fed_in_stage(own: int, weight: int, shares: Shares) -> int:
    """Return what a unit of `weight` in such a stage is fed, `own` of it by its partner, in units of 1 / `PARTS`."""
    layers, whole, room = shares
    return room * own if own == weight else layers * own + whole * weight
