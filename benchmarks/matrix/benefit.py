"""Does the score say which source helps? `python -m benchmarks.matrix.benefit` measures and prints the correlations.

Every start is trained for 60 steps from two seeds at a few learning rates, the best of which counts. The benefit is the
share of the possible gain in the area under the curve of test accuracy: 0 is the target's own constructor, 1 is the
same network trained on the source's data. `before` is the accuracy before any step with a fitted head.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import mean
from time import process_time

import torch
from torch import nn

from benchmarks.convergence import starts
from benchmarks.convergence.data import CLASSES, load
from benchmarks.convergence.networks import INPUT_SHAPE, Net, head_of
from benchmarks.convergence.pairs import Pair
from benchmarks.convergence.probe import probe
from benchmarks.convergence.training import Recipe, area, train
from benchmarks.matrix.benefit_pairs import GROUPS, Group
from benchmarks.matrix.benefit_report import Row, report
from tli_cli.architecture import Architecture
from tli_cli.references import Reading, resolve

RESULTS = Path(__file__).parent / "benefit.jsonl"
"""What is measured, a line for each run."""

IMAGES = 3000
SEEDS = (0, 1)
PLAIN = "plain"
RATES = {True: (3e-3, 1e-2, 3e-2), False: (3e-3, 1e-2)}
"""Learning rates, by whether the start is the plain one."""


def main() -> None:
    """Measure what is not measured yet, then print the rows and the correlations."""
    parser = ArgumentParser(prog="python -m benchmarks.matrix.benefit", description=__doc__)
    parser.add_argument("--matcher", default="dp")
    parser.add_argument("--part", choices=("seen", "held"), action="append", help="only this part (may be repeated)")
    parser.add_argument("--table-only", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parts = given.part or ["seen", "held"]
    if not given.table_only:
        begun = process_time()
        for group in GROUPS:
            if group.part in parts:
                _measure(group)
        print(f"CPU time: {process_time() - begun:.0f} s\n")

    print(report([row for group in GROUPS if group.part in parts for row in rows(group, given.matcher)]))


def _measure(group: Group) -> None:
    known = _read()
    for source in dict.fromkeys((None, group.target, *group.sources)):
        missing = [(rate, seed) for rate, seed in _wanted(source) if _key(group, source, rate, seed) not in known]
        if not missing:
            continue
        state = _start(group, source)
        for rate, seed in missing:
            model = _with_fresh_head(group, state, seed)
            data = load(group.target_data, IMAGES)
            before = probe(model, data)
            curve = train(model, data, Recipe(rate=rate, steps=60), seed)
            run = {"key": _key(group, source, rate, seed), "area": area(curve), "before": before}
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")
        print(f"measured {group.target} from {source or PLAIN}", flush=True)


def _wanted(source: Net | None) -> list[tuple[float, int]]:
    return [(rate, seed) for rate in RATES[source is None] for seed in SEEDS]


def _key(group: Group, source: Net | None, rate: float, seed: int) -> str:
    pair = f"{source or PLAIN} -> {group.target} on {group.target_data}"
    return f"{group.source_data}: {pair}, {rate:g}, seed {seed}"


def _read() -> dict[str, dict[str, float]]:
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return {run["key"]: run for run in map(json.loads, lines)}


def _start(group: Group, source: Net | None) -> dict[str, torch.Tensor] | None:
    """Return the values that `tli inject` gives the target from `source`; None for the constructor's own."""
    if source is None:
        return None
    pair = Pair("", "family", source, group.target, group.source_data, group.target_data)
    return starts.make("auto", pair, 0).model.state_dict()


def _with_fresh_head(group: Group, state: dict[str, torch.Tensor] | None, seed: int) -> nn.Module:
    """Return the target with `state` and the head that its constructor draws from `seed`."""
    model = group.target.build(CLASSES[group.target_data], seed)
    if state is not None:
        head, _ = head_of(model)
        own = {name: value for name, value in model.state_dict().items() if name.startswith(f"{head}.")}
        model.load_state_dict({**state, **own})
    return model


def rows(group: Group, matcher: str) -> Iterator[Row]:
    """Yield the sources of `group` that are measured, with their scores."""
    for source, (benefit, before) in _shares(group).items():
        score = score_nets(source, group.target, matcher)
        yield Row(group.part, str(group.target), str(source), score, benefit, before)


def _shares(group: Group) -> dict[Net, tuple[float, float]]:
    """Return each source's benefit by area and by accuracy before any step; runs count only beside the plain start's
    and the limit's."""
    known = _read()
    outcome = {source: _outcome(known, group, source) for source in (None, *group.sources)}
    plain, limit = outcome[None], outcome[group.target]
    found: dict[Net, tuple[float, float]] = {}
    for source in group.sources:
        own = outcome[source]
        if plain is not None and limit is not None and own is not None:
            area, before = ((own[i] - plain[i]) / (limit[i] - plain[i]) for i in range(2))
            found[source] = area, before
    return found


def _outcome(known: dict[str, dict[str, float]], group: Group, source: Net | None) -> tuple[float, float] | None:
    """Return the area at the best rate and the accuracy before any step, each the mean over seeds."""
    runs = [[known.get(_key(group, source, rate, seed)) for seed in SEEDS] for rate in RATES[source is None]]
    if any(run is None for seeds in runs for run in seeds):
        return None
    means = [_means([run for run in seeds if run is not None]) for seeds in runs]
    return max(area for area, _ in means), means[0][1]


def _means(runs: Sequence[dict[str, float]]) -> tuple[float, float]:
    return mean(run["area"] for run in runs), mean(run["before"] for run in runs)


@lru_cache
def architecture(net: Net) -> Architecture:
    """Return what `tli` sees of `net`, traced."""
    return resolve(net.reference(10), Reading(input_shape=INPUT_SHAPE)).architecture


def score_nets(source: Net, target: Net, matcher: str = "dp") -> float:
    """Return the TLI score from `source` to `target`."""
    from tli_cli.matching import MATCHERS
    from tli_cli.scoring.score import score_matching

    return score_matching(MATCHERS.get(matcher)(architecture(source), architecture(target)))


if __name__ == "__main__":
    main()
