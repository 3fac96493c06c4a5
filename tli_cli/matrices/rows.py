"""Rows of a matrix: the scores of all sources into one target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from tli_cli.matching import MATCHERS
from tli_cli.matching.dp import match_sides
from tli_cli.matching.path import Placed, match_placed
from tli_cli.matching.sides import Side
from tli_cli.planning.doubted import doubted_layers
from tli_cli.references import Reference, related
from tli_cli.references.likest import is_open
from tli_cli.scoring.score import score_matching


@dataclass(frozen=True)
class Sides:
    """What is scored against each other.

    Attributes:
        alone: each side as it is where nothing else tells of it.
        together: by places of source and target, the sides of two of which one tells what the other, a checkpoint, does
            not: a score is the same in every matrix.
    """

    alone: Sequence[Side]
    together: Mapping[tuple[int, int], tuple[Side, Side]] = field(default_factory=dict)

    @classmethod
    def of(cls, own: Sequence[Reference], known: Iterable[Reference] = ()) -> Sides:
        """Return the sides of the references `own`, then of `known`, which all have a graph and are looked at one by
        one."""
        alone = [Side.kept(reference.architecture) for reference in own]
        together: dict[tuple[int, int], tuple[Side, Side]] = {}

        def put_together(i: int, j: int, source: Reference, target: Reference) -> None:
            one, two = (reference.architecture for reference in related([source, target]))
            if one is not source.architecture or two is not target.architecture:
                together[i, j] = Side.kept(one), Side.kept(two)

        for (i, one), (j, other) in permutations(enumerate(own), 2):
            if _is_told_more(one) or _is_told_more(other):
                put_together(i, j, one, other)
        bare = [(i, reference) for i, reference in enumerate(own) if _is_told_more(reference)]
        for reference in known:
            place = len(alone)
            alone.append(Side.kept(reference.architecture))
            for i, other in bare:
                put_together(i, place, other, reference)
                put_together(place, i, reference, other)
        return cls(alone, together)


def _is_told_more(reference: Reference) -> bool:
    """Tell whether another side may tell what a checkpoint does not."""
    return not reference.architecture.graph or is_open(reference)


class RowScores:
    """Sides made ready to be scored against each other by one matcher."""

    def __init__(self, sides: Sides, matcher: str) -> None:
        MATCHERS.get(matcher)
        self._sides = sides
        self._many = None
        if matcher == "dp":
            from tli_cli.many.scores import ManyScores

            self._many = ManyScores(sides.alone)
        else:
            self._placed = [Placed.of(side) for side in sides.alone]

    def row(self, target: int) -> Sequence[float]:
        """Return the scores of all sources into the one at `target`."""
        found = self._alone(target)
        for source, score in enumerate(found):
            pair = self._sides.together.get((source, target))
            if pair or (score == 1 and source != target):
                found[source] = self._score(*(pair or (self._sides.alone[source], self._sides.alone[target])))
        return found

    def _score(self, source: Side, target: Side) -> float:
        plain = self._many is None
        matching = match_placed(Placed.of(source), Placed.of(target)) if plain else match_sides(source, target)
        return score_matching(matching, doubted_layers(source.architecture, target.architecture, matching))

    def _alone(self, target: int) -> list[float]:
        if self._many is not None:
            return self._many.row(target)
        return [score_matching(match_placed(source, self._placed[target])) for source in self._placed]
