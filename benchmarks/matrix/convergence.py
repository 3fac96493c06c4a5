"""Hold the score against the convergence benchmark's results: `python -m benchmarks.matrix.convergence`.

Beside the rank correlation stands what a score could reach at best: the shares are means over few seeds, so one that
knew the true shares would not order the measured ones perfectly. And since most pairs of that benchmark are close, the
same correlation is shown for as many close and far pairs drawn at random from those that the score was set on.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import hypot, sqrt
from pathlib import Path
from statistics import fmean, pvariance, quantiles
from typing import TypeVar

import numpy as np
from scipy.stats import spearmanr

from benchmarks.convergence.pairs import HALVES, PAIRS
from benchmarks.convergence.plain import PLAIN
from benchmarks.convergence.results import KEPT, Results
from benchmarks.convergence.starts import LIMIT
from benchmarks.convergence.summary import Outcome, Row, rows
from benchmarks.matrix import benefit
from benchmarks.matrix.benefit_pairs import GROUPS

METHOD = "auto"
CLOSE = 0.7
"""From here on a pair is a close one: no two families score as much."""

DRAWS = 2000
T = TypeVar("T")


@dataclass(frozen=True)
class Held:
    """A pair: its score, its share of the possible gain, and the standard error of that over seeds."""

    name: str
    score: float
    share: float
    error: float


def main() -> None:
    """Print score and share of the possible gain for every pair that is measured, and their rank correlation."""
    parser = ArgumentParser(prog="python -m benchmarks.matrix.convergence", description=__doc__)
    parser.add_argument("--results", type=Path, help="a file of runs (default: those that are kept)")
    parser.add_argument("--optimizer", default="adamw")
    given = parser.parse_args()
    for half in HALVES:
        results = Results(given.results or KEPT / f"{half}.jsonl")
        measured = rows(PAIRS[half], [*PLAIN, LIMIT, METHOD], given.optimizer, results)
        found = [_held(row) for row in measured if METHOD in row.outcomes]
        if len(found) > 2:
            print(_report(half, found))
            print(_by_other_measures([row for row in measured if METHOD in row.outcomes], found))


def _held(row: Row) -> Held:
    plain, limit, own = (row.outcomes[name] for name in (row.best_plain, LIMIT, METHOD))
    share = row.share(METHOD)
    error = hypot(_error(own), share * _error(limit), (1 - share) * _error(plain)) / (limit.area - plain.area)
    return Held(row.pair.name, benefit.score_nets(row.pair.source, row.pair.target), share, error)


def _error(outcome: Outcome) -> float:
    return outcome.spread / sqrt(len(outcome.curves))


def _report(half: str, found: Sequence[Held]) -> str:
    lines = [f"| {half}: pair | score | share of the possible gain |", "|---|---:|---:|"]
    for one in sorted(found, key=lambda one: (-one.score, -one.share)):
        lines.append(f"| {one.name} | {one.score:.2f} | {one.share:.2f} ± {one.error:.2f} |")
    close, far = ([one for one in found if (one.score >= CLOSE) == wanted] for wanted in (True, False))
    for title, chosen in ((f"all {len(found)} pairs", found), (f"the {len(close)} close ones", close)):
        if len(chosen) > 2:
            rank = _rank([(one.score, one.share) for one in chosen])
            lines += ["", f"Spearman over {title}: {rank:.2f}, of {_ceiling(chosen):.2f} that the seeds allow"]
    apart = [(a, b) for a, b in combinations(found, 2) if abs(a.share - b.share) > 2 * hypot(a.error, b.error)]
    agreed = sum((a.score - b.score) * (a.share - b.share) > 0 for a, b in apart)
    lines += ["", f"{agreed} of {len(apart)} twos that differ by more than two standard errors are in order"]
    return "\n".join([*lines, "", _drawn_alike(len(close), len(far)), ""])


def _by_other_measures(measured: Sequence[Row], found: Sequence[Held]) -> str:
    """Return the rank correlation of the score with what else may be called benefit."""
    measures = {
        "share of the possible gain, at most 1": [min(one.share, 1.0) for one in found],
        "area over the limit's": [row.over(METHOD, LIMIT) for row in measured],
        "area over the best plain start's": [row.over(METHOD, row.best_plain) for row in measured],
        "area over Kaiming's": [row.over(METHOD, "kaiming") for row in measured],
    }
    lines = ["| benefit | Spearman |", "|---|---:|"]
    for title, values in measures.items():
        lines.append(f"| {title} | {_rank([(one.score, v) for one, v in zip(found, values, strict=True)]):.2f} |")
    return "\n".join([*lines, ""])


def _ceiling(found: Sequence[Held]) -> float:
    """Return the mean rank correlation of what the true shares may be with shares measured with such errors."""
    shares, errors = [one.share for one in found], np.array([one.error for one in found])
    spread, noise = pvariance(shares), float((errors**2).mean())
    true = fmean(shares) + (np.array(shares) - fmean(shares)) * sqrt(max(spread - noise, 0.0) / spread)
    rng = np.random.default_rng(0)
    return fmean(float(spearmanr(true, rng.normal(true, errors))[0]) for _ in range(DRAWS))


def _drawn_alike(close: int, far: int) -> str:
    """Return the correlation over as many close and far pairs of those that the score was set on."""
    seen = [row for group in GROUPS if group.part == "seen" for row in benefit.rows(group, "dp")]
    pairs = [(row.score, row.benefit) for row in seen if row.source != row.target and row.score >= 0.1]
    near, others = ([pair for pair in pairs if (pair[0] >= CLOSE) == wanted] for wanted in (True, False))
    rng = np.random.default_rng(0)
    ranks = [_rank([*_drawn(near, close, rng), *_drawn(others, far, rng)]) for _ in range(DRAWS)]
    cuts = quantiles(ranks, n=20)
    alone = _rank(near)
    return (
        f"as many close and far pairs drawn from those that were looked at: {fmean(ranks):.2f} "
        f"(nine of ten draws {cuts[0]:.2f} to {cuts[-1]:.2f}); their close ones alone {alone:.2f}"
    )


def _drawn(values: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    return [values[int(i)] for i in rng.permutation(len(values))[:count]]


def _rank(pairs: Sequence[tuple[float, float]]) -> float:
    return float(spearmanr([score for score, _ in pairs], [share for _, share in pairs])[0])


if __name__ == "__main__":
    main()
