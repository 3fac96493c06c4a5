"""The sweep: for each pair and method, tune the learning rate on one seed, then train with the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.convergence import starts
from benchmarks.convergence.data import load
from benchmarks.convergence.pairs import Pair
from benchmarks.convergence.probe import probe
from benchmarks.convergence.results import Results, Run
from benchmarks.convergence.training import GRIDS, Recipe, area, train

IMAGES = 3000
TUNING_SEED = 1000


@dataclass(frozen=True)
class Case:
    """A start to be measured."""

    pair: Pair
    method: str
    optimizer: str

    @property
    def subject(self) -> str:
        """What the result belongs to: reference starts are shared by the pairs that have the same target."""
        return subject(self.pair, self.method)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What the results of its runs have in common."""
        return (self.subject, self.method, self.optimizer)


def subject(pair: Pair, method: str) -> str:
    if method not in starts.REFERENCES:
        return pair.name
    task = f"{pair.target} on {pair.target_data}"
    return f"{task} from {pair.source_data}" if method == starts.LIMIT else task


def sweep(cases: list[Case], seeds: int, results: Results, minutes: float) -> bool:
    """Run every case that is not in `results` yet; return whether the time sufficed."""
    deadline = time.monotonic() + 60 * minutes
    for case in {case.identity: case for case in cases}.values():
        try:
            if not _measure(case, seeds, results, lambda: time.monotonic() > deadline):
                return False
        # One pair that cannot be started must not cost the rest of a long sweep; its cell stays empty.
        except Exception as error:
            print(f"FAILED {case.subject}  {case.method}: {type(error).__name__}: {error}", flush=True)
    return True


def best_rate(runs: list[Run]) -> float | None:
    """Return the learning rate with the largest area on the tuning seed."""
    tuning = [run for run in runs if run.seed == TUNING_SEED]
    return max(tuning, key=lambda run: area(run.curve)).rate if tuning else None


def counted(runs: list[Run]) -> list[Run]:
    """Return the runs that count: other seeds, at the learning rate that the tuning seed chose."""
    rate = best_rate(runs)
    return [run for run in runs if run.seed != TUNING_SEED and run.rate == rate]


def _measure(case: Case, seeds: int, results: Results, late: Callable[[], bool]) -> bool:
    grid = GRIDS[case.optimizer]
    rate: float | None = grid[len(grid) // 2]
    while rate is not None:
        if not _run(case, rate, TUNING_SEED, results, late):
            return False
        rate = _next_rate(grid, results.of(*case.identity))
    best = best_rate(results.of(*case.identity))
    return all(best is not None and _run(case, best, seed, results, late) for seed in range(seeds))


def _next_rate(grid: tuple[float, ...], runs: list[Run]) -> float | None:
    """Return a neighbour of the best rate that was not tried, the larger one first; None where both were."""
    best, tried = best_rate(runs), {run.rate for run in runs if run.seed == TUNING_SEED}
    index = grid.index(best) if best in grid else 0
    around = grid[index + 1 : index + 2] + grid[max(0, index - 1) : index]
    return next((rate for rate in around if rate not in tried), None)


@lru_cache(maxsize=1)
def _started(method: str, pair: Pair, seed: int) -> starts.Start:
    """Return a start that is made once for all learning rates."""
    return starts.make(method, pair, seed)


def _run(case: Case, rate: float, seed: int, results: Results, late: Callable[[], bool]) -> bool:
    key = (*case.identity, rate, seed)
    if key in results:
        return True
    if late():
        return False
    data = load(case.pair.target_data, IMAGES)
    start = _started(case.method, case.pair, seed)
    model = deepcopy(start.model)
    before = probe(model, data)
    curve = train(model, data, Recipe(case.optimizer, rate), seed)
    results.add(Run(*key, tuple(round(value, 4) for value in curve), round(before, 4), round(start.seconds, 2)))
    print(f"{case.subject}  {case.method}  {case.optimizer} {rate} seed {seed}: area {area(curve):.3f}", flush=True)
    return True
