"""What queries make up for: copies of a head's channels, and another scale of their products with keys."""

from __future__ import annotations

from collections.abc import Collection
from math import isclose

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves, terms_of
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.numbers import were_run
from tli_cli.planning.scale_numbers import SCALES, SHRINKING, TOLERANCE, factor_of, scale_of, width_power
from tli_cli.planning.spaces.queries import Query, innermost, query_makers


class Scales:
    """The queries of a target and of one source, with the numbers in code that scale their products.

    `places` are the layers behind which scales may differ, since queries of wider heads make up for it or both sides
    scale the products alike in other places, and `made_up` the spaces over which queries and keys meet.
    """

    def __init__(self, target: Architecture, source: Architecture, matching: Matching) -> None:
        self._target, self._source = target, source
        self._mine, self._theirs = _free_queries(target, matching.targets), _free_queries(source, matching.sources)
        wider = (p for p in matching.pairs if p.target.key in self._mine and self._is_wider(p))
        self.places = {place for pair in wider for place in self._mine[pair.target.key].places}
        self.places |= self._scaled_elsewhere(matching)
        uneven = {pair.target.key for pair in matching.pairs if self._grows_unevenly(pair)}
        trees = (innermost(target, u) for u in matching.targets if u.key in self._mine and u.key not in uneven)
        self.made_up = {leaf for tree in trees if tree is not None for leaf in leaves(tree)}

    def is_query(self, unit: Unit) -> bool:
        """Tell whether a unit of the target makes queries."""
        return unit.key in self._mine

    def rescale(self, pair: Pair) -> float | None:
        """Return by what queries must be multiplied so that products are scaled as in the source; None if the numbers
        in the code are not known.

        Where the source's alone are not, it is taken to be of the target's class, with the same powers of the width.
        """
        mine, theirs = self._mine.get(pair.target.key), self._theirs.get(pair.source.key)
        if mine is None or theirs is None or not self._target.was_run or mine.softmaxes != theirs.softmaxes:
            return None
        if were_run(self._source):
            whole = scale_of(self._source, theirs.places) / (scale_of(self._target, mine.places) or 1.0)
            return float(whole ** (1 / mine.softmaxes))
        widths = self._widths(pair)
        if not self._source.graph or widths is None or widths[0] <= widths[1]:
            return None
        numbers = (number for place in mine.places for number in self._target.layers[place].numbers)
        power = width_power(numbers, widths[0], SHRINKING) / mine.softmaxes
        return float((widths[1] / widths[0]) ** power)

    def _scaled_elsewhere(self, matching: Matching) -> set[int]:
        """Return the layers between queries and softmax where both sides scale the products alike, wherever they do."""
        alike = [
            (self._mine[p.target.key].places, self._theirs[p.source.key].places)
            for p in matching.pairs
            if (scale := self.rescale(p)) is not None and isclose(scale, 1, rel_tol=TOLERANCE)
            if not _lifts(self._target, self._mine[p.target.key].places)
            if not _lifts(self._source, self._theirs[p.source.key].places)
        ]
        mine = {place for places, _ in alike for place in places}
        theirs = {place for _, places in alike for place in places}
        return mine | {pair.target.place for pair in matching.pairs if pair.source.place in theirs}

    def _is_wider(self, pair: Pair) -> bool:
        """Tell whether heads are wider, and a cap over their products, if there is one, is the source's."""
        widths = self._widths(pair)
        mine, theirs = self._mine[pair.target.key].places, self._theirs.get(pair.source.key, Query()).places
        alike = not were_run(self._source) or _lifts(self._target, mine) == _lifts(self._source, theirs)
        return widths is not None and widths[0] > widths[1] and alike

    def _grows_unevenly(self, pair: Pair) -> bool:
        """Tell whether parts end to end of heads do not all grow by one factor, so that no one number makes up."""
        mine, theirs = innermost(self._target, pair.target), innermost(self._source, pair.source)
        if mine is None or theirs is None or len(terms_of(mine)) != len(terms_of(theirs)):
            return mine is not None and len(terms_of(mine)) > 1
        sizes = [
            (self._target.size_of(m), self._source.size_of(n))
            for m, n in zip(terms_of(mine), terms_of(theirs), strict=True)
        ]
        return any(wide * sizes[0][1] != narrow * sizes[0][0] for wide, narrow in sizes)

    def _widths(self, pair: Pair) -> tuple[int, int] | None:
        """Return how wide heads are on both sides; None where that is not known."""
        mine, theirs = innermost(self._target, pair.target), innermost(self._source, pair.source)
        if mine is None or theirs is None:
            return None
        return self._target.size_of(mine), self._source.size_of(theirs)


def _free_queries(architecture: Architecture, units: Collection[Unit]) -> dict[Key, Query]:
    """Return the queries whose scale is free: nothing without tensors divides them by their length or deviation."""
    found, known = query_makers(architecture, units), {unit.key: unit for unit in units}
    trees = {key: innermost(architecture, known[key]) for key in found}
    return {
        key: query
        for key, query in found.items()
        if (tree := trees[key]) is None or architecture.averaged.isdisjoint(leaves(tree))
    }


def _lifts(architecture: Architecture, places: Collection[int]) -> list[float]:
    """Return the scales behind the first one of the layers `places`, where one takes another back, as around a cap."""
    numbers = (number for place in sorted(places) for number in architecture.layers[place].numbers)
    factors = [factor_of(number) for number in numbers if number[0] in SCALES]
    return factors[1:] if max(factors, default=0) > 1 else []
