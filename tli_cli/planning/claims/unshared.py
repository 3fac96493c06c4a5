"""What code does in one of two networks alone, wherever in it that stands: operations, and tensors that it makes of
numbers (waves, slopes, masks, fixed kernels)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, prod

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.noted import EPSILON, OFFSET, Number
from tli_cli.planning.numbers import were_run
from tli_cli.planning.scale_numbers import SCALES, TOLERANCE, factor_of

DIGITS = 6
RESAMPLING = "upsample"
"""Operations whose numbers follow from the sizes of what they are applied to, words apart."""


@dataclass(frozen=True)
class Behind:
    """What code does behind the layers of two networks.

    Attributes:
        mine: the numbers behind each layer of the target.
        theirs: those behind each layer of the source.
        partners: the source's layer for each of the target's.
        copies: the source's layer for each of the target's that is added. What stands behind an added block may be the
            block's or what has always stood behind the one before it.
    """

    mine: Sequence[Sequence[Number]]
    theirs: Sequence[Sequence[Number]]
    partners: Mapping[int, int]
    copies: Mapping[int, int]

    def unshared(self, scaled: Collection[int]) -> dict[int, str]:
        """Return what is done behind layers of the target, by their places, that the source does nowhere, or the other
        way round; other scales behind the layers `scaled` are made up for.

        Code may do the same in another order, behind other layers, or in one step in place of two; so operations are
        counted over the whole network, and scales multiplied.
        """
        return self._operations() | self._scales(scaled)

    def _operations(self) -> dict[int, str]:
        mine, theirs = ([Counter[Number](_told(numbers)) for numbers in side] for side in (self.mine, self.theirs))
        whole, grown = sum(theirs, Counter[Number]()), sum(mine, Counter[Number]())
        kept = sum((own for place, own in enumerate(mine) if place not in self.copies), Counter[Number]())
        moved = {n for n in grown if grown[n] == whole[n] == 1 and self._stands_behind_copy(n, mine, theirs)}
        grown -= sum((theirs[place] for place in self.copies.values()), Counter[Number]())
        strange = {n for n in whole | kept | grown if kept[n] != whole[n] != grown[n]} - moved
        found = {}
        for place, partner in self.partners.items():
            sides = mine[place], theirs[partner]
            here, there = ({n: count for n, count in own.items() if n in strange} for own in sides)
            if here != there:
                found[place] = f"behind it {_said(here)}, in the source {_said(there)}"
        return found

    def _stands_behind_copy(
        self, number: Number, mine: Sequence[Counter[Number]], theirs: Sequence[Counter[Number]]
    ) -> bool:
        """Tell whether what stands behind the last layer of a block, as what is done once, stands behind its copy."""
        last = max(self.copies.values(), default=-1)
        ends = (place for place, copied in self.copies.items() if copied == last)
        return any(mine[place][number] and theirs[last][number] for place in ends)

    def _scales(self, scaled: Collection[int]) -> dict[int, str]:
        sides = self.mine, self.theirs
        mine, theirs = ([prod(factor_of(n) for n in numbers if n[0] in SCALES) for numbers in side] for side in sides)
        partners, copies = self.partners, self.copies
        made_up = {side[place] for side in (partners, copies) for place in scaled if place in side}
        whole = prod(scale for place, scale in enumerate(theirs) if place not in made_up)
        plain = [place for place in range(len(mine)) if place not in scaled]
        kept = prod(mine[place] for place in plain if place not in copies)
        grown = prod(mine[place] for place in plain)
        added = prod(theirs[copies[place]] for place in plain if place in copies)
        if isclose(whole, kept, rel_tol=TOLERANCE) or isclose(whole * added, grown, rel_tol=TOLERANCE):
            return {}
        return {
            place: f"behind it a scale of {mine[place]:.4g}, in the source of {theirs[partner]:.4g}"
            for place, partner in partners.items()
            if place not in scaled and not isclose(mine[place], theirs[partner], rel_tol=TOLERANCE)
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


NEAR = 3e-4
"""How far apart, relative to their size, values may be that were worked out in another precision or another way."""


def other_constants(target: Architecture, source: Architecture, silent: Collection[int]) -> dict[int, str]:
    """Return the layers of the target, by their places, behind which a constant acts that the source holds nowhere,
    though one of its shape acts there in the same way.

    What one side does in another way, with constants of other shapes or none, is not held against it, but for positions
    that are added in code on one side alone: the target's tables `silent` add nothing.
    """
    if not were_run(target, source):
        return {}
    theirs = [number for layer in source.layers for number in _tensors(layer)]
    found = _positions_of_one(target, source, silent)
    for place, layer in enumerate(target.layers):
        for mine in _tensors(layer):
            known = [other for other in theirs if mine[0] == other[0] and (mine[1] == other[1] or mine[2] == other[2])]
            if known and not any(_are_near(mine, other) for other in known):
                size = "x".join(map(str, mine[1])) or "one number"
                found[place] = f"behind it a constant ({mine[0]}, {size}) that differs from the source's"
    return found


def _positions_of_one(target: Architecture, source: Architecture, silent: Collection[int]) -> dict[int, str]:
    """Return the layers of the target behind which positions are added in code, of which the source has none in any
    form, or all of them where it is the source alone that adds some; the catalogue does not tell."""
    for side, other, said, idle in ((target, source, "", ()), (source, target, "in the source ", silent)):
        added = {
            i: n for i, layer in enumerate(side.layers) for n in _tensors(layer) if n[0] == "add" and len(n[2]) > 1
        }
        if added and other.order_from == "trace" and not _has_positions(other, idle):
            size = "x".join(map(str, next(iter(added.values()))[1]))
            places = range(len(target.layers)) if said else added
            return dict.fromkeys(
                places, f"behind it {said}a table of positions ({size}) that code adds on one side alone"
            )
    return {}


def _has_positions(architecture: Architecture, idle: Collection[int]) -> bool:
    acted = any(number[0] == "add" for layer in architecture.layers for number in layer.constants)
    stored = any(len(spec.shape) > 1 for spec in architecture.tensors if spec.buffer)
    tables = {i for i, layer in enumerate(architecture.layers) if layer.kind in ("position", "bias_table")}
    return acted or stored or not tables.issubset(idle)


def _tensors(layer: Layer) -> list[Number]:
    return [number for number in layer.constants if number[0] not in (EPSILON, OFFSET)]


def _are_near(mine: Number, theirs: Number) -> bool:
    size = max(abs(mine[3]), abs(theirs[3]))
    return mine[2] == theirs[2] and all(abs(a - b) <= NEAR * size for a, b in zip(mine[3:], theirs[3:], strict=True))
