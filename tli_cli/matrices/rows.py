"""Rows of a matrix: the scores of all sources into one target."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.matching import MATCHERS
from tli_cli.matching.path import Placed, match_placed
from tli_cli.matching.sides import Side
from tli_cli.scoring.score import score_matching


class RowScores:
    """Sides made ready to be scored against each other by one matcher."""

    def __init__(self, sides: Sequence[Side], matcher: str) -> None:
        MATCHERS.get(matcher)
        self._many = None
        if matcher == "dp":
            from tli_cli.many.scores import ManyScores

            self._many = ManyScores(sides)
        else:
            self._placed = [Placed.of(side) for side in sides]

    def row(self, target: int) -> Sequence[float]:
        """Return the scores of all sides into the one at `target`."""
        if self._many is not None:
            return self._many.row(target)
        return [score_matching(match_placed(source, self._placed[target])) for source in self._placed]
