"""What queries must make up for: copies of a head's channels, and another scale of their products with keys."""

from __future__ import annotations

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.numbers import scale_of, were_run
from tli_cli.planning.queries import innermost, query_makers


class Scales:
    """The queries of a target and of one source, with the numbers in code that scale their products.

    `places` are the layers behind which scales may differ, since queries of wider heads make up for it, and `made_up`
    the spaces over which queries and keys meet.
    """

    def __init__(self, target: Architecture, source: Architecture, matching: Matching) -> None:
        self._target, self._source = target, source
        self._mine, self._theirs = query_makers(target, matching.targets), query_makers(source, matching.sources)
        wider = (p for p in matching.pairs if p.target.key in self._mine and self._is_wider(p))
        self.places = {place for pair in wider for place in self._mine[pair.target.key]}
        trees = (innermost(target, unit) for unit in matching.targets if unit.key in self._mine)
        self.made_up = {leaf for tree in trees if tree is not None for leaf in leaves(tree)}

    def is_query(self, unit: Unit) -> bool:
        """Tell whether a unit of the target makes queries."""
        return unit.key in self._mine

    def rescale(self, pair: Pair) -> float | None:
        """Return by what queries must be multiplied so that products are scaled as in the source; None if the numbers
        in the code are not known."""
        mine, theirs = self._mine.get(pair.target.key), self._theirs.get(pair.source.key)
        if mine is None or theirs is None or not were_run(self._target, self._source):
            return None
        return scale_of(self._source, theirs) / (scale_of(self._target, mine) or 1.0)

    def _is_wider(self, pair: Pair) -> bool:
        mine, theirs = innermost(self._target, pair.target), innermost(self._source, pair.source)
        known = mine is not None and theirs is not None
        return known and self._target.size_of(mine) > self._source.size_of(theirs)  # type: ignore[arg-type]
