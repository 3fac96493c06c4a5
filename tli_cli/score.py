"""The TLI score: how much of one architecture can be fed from another, layer by layer, and how well."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import sqrt

from tli_cli.architecture import Architecture
from tli_cli.matching import Matcher
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair

REPEATED = 0.5
MOVED = 0.9


@dataclass(frozen=True, slots=True)
class Score:
    """The score of each direction, in [0, 1], their mean, the shares of elements fed, and the blocks that hold it down."""

    source: str
    target: str
    forward: float
    backward: float
    coverage_forward: float
    coverage_backward: float
    worst: tuple[tuple[str, float], ...] = ()

    @property
    def mean(self) -> float:
        """The mean of both directions."""
        return (self.forward + self.backward) / 2


def score_matching(matching: Matching) -> float:
    """Return the score of a matching: the mean over target units of how well each is fed, larger units weighing more."""
    worth = {pair.target.key: pair_worth(pair, matching) for pair in matching.pairs}
    total = sum(_weight(unit) for unit in matching.targets)
    fed = sum(_weight(unit) * worth.get(unit.key, 0.0) for unit in matching.targets)
    return fed / total if total else 0.0


def pair_worth(pair: Pair, matching: Matching) -> float:
    """Return what a pair counts: its similarity, less where the source unit is used again or stands elsewhere."""
    value = pair.similarity * (REPEATED if pair.repeat else 1.0)
    return value if pair.anchored or _in_place(pair, matching) else value * MOVED


def _in_place(pair: Pair, matching: Matching) -> bool:
    return pair.target.place == pair.source.place and len(matching.targets) == len(matching.sources)


def _weight(unit: Unit) -> float:
    size = 1
    for length in unit.shape:
        size *= length
    return sqrt(size)


def coverage_of(matching: Matching, target: Architecture) -> float:
    """Return the share of the target's elements that stand in a paired unit."""
    places = {pair.target.place for pair in matching.pairs}
    sizes = {spec.name: spec.size for spec in target.tensors}
    total = sum(sizes.values())
    fed = sum(sizes[name] for place, layer in enumerate(target.layers) if place in places for _, name in layer.tensors)
    return fed / total if total else 0.0


def worst_blocks(matching: Matching, count: int = 5) -> tuple[tuple[str, float], ...]:
    """Return the blocks that cost the score most, the worst first, each with the mean worth of its units."""
    worth = {pair.target.key: pair_worth(pair, matching) for pair in matching.pairs}
    lost: dict[str, float] = defaultdict(float)
    weight: dict[str, float] = defaultdict(float)
    for unit in matching.targets:
        block = unit.block or unit.path
        lost[block] += _weight(unit) * (1.0 - worth.get(unit.key, 0.0))
        weight[block] += _weight(unit)
    ranked = sorted((block for block in lost if lost[block] > 1e-12), key=lambda b: (-lost[b], b))
    return tuple((block, round(1.0 - lost[block] / weight[block], 6)) for block in ranked[:count])


def score_architectures(source: Architecture, target: Architecture, matcher: Matcher) -> Score:
    """Return the score of both directions between `source` and `target`."""
    there, back = matcher(source, target), matcher(target, source)
    return Score(
        source.origin,
        target.origin,
        score_matching(there),
        score_matching(back),
        coverage_of(there, target),
        coverage_of(back, source),
        worst_blocks(there),
    )
