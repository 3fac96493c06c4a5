"""Rows of a matrix: the scores of all sources into one target."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.architecture import Architecture
from tli_cli.matching import MATCHERS
from tli_cli.scoring import score_matching


class RowScores:
    """Architectures made ready to be scored against each other by one matcher."""

    def __init__(self, architectures: Sequence[Architecture], matcher: str) -> None:
        self._architectures = architectures
        self._match = MATCHERS.get(matcher)
        self._many = None
        if matcher == "dp":
            from tli_cli.many.scores import ManyScores

            self._many = ManyScores(architectures)

    def row(self, target: int) -> Sequence[float]:
        """Return the scores of all architectures into the one at `target`."""
        if self._many is not None:
            return self._many.row(target)
        wanted = self._architectures[target]
        return [score_matching(self._match(source, wanted)) for source in self._architectures]
