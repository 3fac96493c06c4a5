"""From runs to numbers: areas, ratios and shares of the possible gain."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from statistics import mean, stdev

from benchmarks.convergence.pairs import Pair
from benchmarks.convergence.plain import PLAIN
from benchmarks.convergence.results import Results, Run
from benchmarks.convergence.starts import LIMIT
from benchmarks.convergence.sweep import counted, subject
from benchmarks.convergence.training import Recipe, area, steps_to


@dataclass(frozen=True)
class Outcome:
    """A start's runs, summed up."""

    area: float
    spread: float
    before: float
    final: float
    curves: tuple[tuple[float, ...], ...]
    seconds: float

    def steps_to(self, level: float) -> float:
        """Return the mean of the steps that the runs need to reach `level`; infinity if one never does."""
        return mean(steps_to(curve, level, Recipe().every) for curve in self.curves)


def outcome(runs: list[Run]) -> Outcome | None:
    """Sum up the runs that count, or return None where there are none."""
    kept = counted(runs)
    if not kept:
        return None
    areas = [area(run.curve) for run in kept]
    return Outcome(
        area=mean(areas),
        spread=stdev(areas) if len(areas) > 1 else 0.0,
        before=mean(run.before for run in kept),
        final=mean(run.curve[-1] for run in kept),
        curves=tuple(run.curve for run in kept),
        seconds=mean(run.seconds for run in kept),
    )


@dataclass(frozen=True)
class Row:
    """A pair with the outcome of each of its methods."""

    pair: Pair
    outcomes: dict[str, Outcome]

    @property
    def best_plain(self) -> str:
        return max((name for name in PLAIN if name in self.outcomes), key=lambda name: self.outcomes[name].area)

    def over(self, method: str, base: str) -> float:
        """Return the area of `method` over that of `base`."""
        return self.outcomes[method].area / self.outcomes[base].area

    def share(self, method: str) -> float:
        """Return (area - best plain) / (limit - best plain): the share of the possible gain."""
        plain = self.outcomes[self.best_plain].area
        return (self.outcomes[method].area - plain) / (self.outcomes[LIMIT].area - plain)


def rows(pairs: list[Pair], methods: list[str], optimizer: str, results: Results) -> list[Row]:
    """Return the pairs for which the plain starts and the limit are there."""
    found = []
    for pair in pairs:
        outcomes = {method: outcome(results.of(subject(pair, method), method, optimizer)) for method in methods}
        row = Row(pair, {method: value for method, value in outcomes.items() if value is not None})
        if all(method in row.outcomes for method in (*PLAIN, LIMIT)):
            found.append(row)
    return found


def geometric_mean(values: list[float]) -> float:
    return exp(mean(log(value) for value in values))
