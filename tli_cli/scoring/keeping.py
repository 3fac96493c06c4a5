"""What of a layer's worth is kept, beside what its likeness says: growth and shrinking are not the same.

A layer that grows computes what it did, but a narrow source knows less than the target could; one that shrinks gets, by
a fit or by its heaviest channels, nearly all of a source that knows more. With kernels it is the other way round: a
larger one holds a smaller one whole, zeros around it, and a smaller one loses the rim. A layer that is set
otherwise, by its activation, its stride or its heads, keeps nearly all.

A stage can be fed as a whole, whatever partners its layers have: a fit makes a stage of the target compute what the
source's stage at its place computes, if its means of mixing places can do that. Convolutions can stand in for other
convolutions, attention for all that there is. So a layer is worth

    layers * (its own worth) + whole,    layers + whole <= room <= 1

where `whole` grows with how far the target's means can do what the source's do (`reach`), and with how alike the two
stand between input and output (`level`). `layers` falls where they do not work alike (`kinship`): a projection that was
made for attention says little beside a convolution.
`room` (`room_for` of `matching/mixing.py`) is less than 1 where the target has fewer blocks than the source: what
the others did is lost.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import zip_longest
from math import sqrt

from tli_cli.matching.settings import setting_keeping
from tli_cli.matching.similarity import KERNEL, SHAPE, root, size_likeness
from tli_cli.matching.units import Unit

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


PADDED = 0.05
"""What a kernel may lose by growing; one that shrinks loses in proportion."""


def keeping(target: Unit, source: Unit) -> float:
    """Return the factor that turns the similarity of two units into what the target's keeps of the source's."""
    sizes = kernel_keeping(target, source) * shape_keeping(target.shape, source.shape)
    return sizes * setting_keeping(target.setting, source.setting)


def kernel_keeping(target: Unit, source: Unit) -> float:
    """Return the factor of the kernels; 1 where they are equal, or where a unit has none."""
    if not target.kernel or not source.kernel or target.kernel == source.kernel:
        return 1.0
    return _kernel(target.kernel, source.kernel)


@lru_cache(maxsize=1 << 12)
def _kernel(target: tuple[int, ...], source: tuple[int, ...]) -> float:
    worth = 1.0
    for a, b in zip_longest(target, source, fillvalue=1):
        worth *= 1 - PADDED + PADDED * b / a if b < a else a / b
    return root(worth, max(len(target), len(source))) / (1 - KERNEL + KERNEL * size_likeness(target, source))


@lru_cache(maxsize=1 << 16)
def shape_keeping(target: tuple[int, ...], source: tuple[int, ...]) -> float:
    """Return the factor of the shapes: a size that shrinks counts as its fourth root."""
    if target == source:
        return 1.0
    kept = 1.0
    for a, b in zip_longest(target, source, fillvalue=1):
        share = max(min(a, b), 1) / max(a, b, 1)
        kept *= sqrt(sqrt(share)) if b > a else share
    kept = root(kept, max(len(target), len(source)))
    return (1 - SHAPE + SHAPE * kept) / (1 - SHAPE + SHAPE * size_likeness(target, source))
