"""Operations in code that one network has and the other lacks, wherever in it they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isclose, prod

from tli_cli.architecture import Number
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.planning.numbers import SCALES, TOLERANCE, factor_of

DIGITS = 6
RESAMPLING = "upsample"
"""Operations whose numbers follow from the sizes of what they are applied to, words apart."""


def unshared(
    mine: Sequence[Sequence[Number]],
    theirs: Sequence[Sequence[Number]],
    partners: Mapping[int, int],
    copies: Mapping[int, int],
    scaled: Collection[int],
) -> dict[int, str]:
    """Return what is done behind layers of the target, by their places, that the source does nowhere, or the other way
    round.

    `mine` and `theirs` are the numbers behind the layers of both sides, `partners` gives the source's layer for each of
    the target's, `copies` for each that is added, and other scales behind the layers `scaled` are made up for. What
    stands behind an added block may be the block's or what has always stood behind the one before it.

    Code may do the same in another order, behind other layers, or in one step in place of two; so operations are
    counted over the whole network, and scales multiplied.
    """
    counts = [Counter[Number](_told(numbers)) for numbers in mine], [Counter[Number](_told(n)) for n in theirs]
    whole = sum(counts[1], Counter[Number]())
    kept = sum((own for place, own in enumerate(counts[0]) if place not in copies), Counter[Number]())
    grown = sum(counts[0], Counter[Number]()) - sum((counts[1][p] for p in copies.values()), Counter[Number]())
    strange = {n for n in whole | kept | grown if kept[n] != whole[n] != grown[n]}
    found = {}
    for place, partner in partners.items():
        here, there = ({n: own[n] for n in strange & own.keys()} for own in (counts[0][place], counts[1][partner]))
        if here != there:
            found[place] = f"behind it {_said(here)}, in the source {_said(there)}"
    return found | _scales(mine, theirs, partners, copies, scaled)


def _scales(
    mine: Sequence[Sequence[Number]],
    theirs: Sequence[Sequence[Number]],
    partners: Mapping[int, int],
    copies: Mapping[int, int],
    scaled: Collection[int],
) -> dict[int, str]:
    products = [[prod(factor_of(n) for n in numbers if n[0] in SCALES) for numbers in side] for side in (mine, theirs)]
    made_up = {partners[place] for place in scaled if place in partners}
    made_up |= {copies[place] for place in scaled if place in copies}
    whole = prod(scale for place, scale in enumerate(products[1]) if place not in made_up)
    plain = [place for place in range(len(mine)) if place not in scaled]
    kept = prod(products[0][place] for place in plain if place not in copies)
    grown = prod(products[0][place] for place in plain)
    added = prod(products[1][copies[place]] for place in plain if place in copies)
    if isclose(whole, kept, rel_tol=TOLERANCE) or isclose(whole * added, grown, rel_tol=TOLERANCE):
        return {}
    return {
        place: f"behind it a scale of {products[0][place]:.4g}, in the source of {products[1][partner]:.4g}"
        for place, partner in partners.items()
        if place not in scaled and not isclose(products[0][place], products[1][partner], rel_tol=TOLERANCE)
    }


def _told(numbers: Iterable[Number]) -> list[Number]:
    """Return the operations among `numbers` that the graph does not tell of, scales apart, to the digits that count."""
    return [_rounded(n) for n in numbers if n[0] not in SCALES and n[0] not in ACTIVATIONS]


def _rounded(number: Number) -> Number:
    name, *values = number
    if str(name).startswith(RESAMPLING):
        values = [value for value in values if isinstance(value, (bool, str))]
    return (name, *(round(v, DIGITS) if isinstance(v, float) else v for v in values))


def _said(counts: Mapping[Number, int]) -> str:
    parts = (" ".join(str(n) for n in number) + (f" x{count}" if count > 1 else "") for number, count in counts.items())
    return ", ".join(parts) or "nothing of the kind"
