"""A quick look at some pairs: `python -m benchmarks.convergence.quick auto --pairs vit-to-gmlp`.

One seed and the best of three learning rates, chosen on that seed: enough to see large effects, none for the report.
The trial is what `auto` takes of a start: how fast it learns classes that are made up.
"""

from __future__ import annotations

from argparse import ArgumentParser
from copy import deepcopy

import torch

from benchmarks.convergence import starts
from benchmarks.convergence.data import load
from benchmarks.convergence.pairs import HALVES, PAIRS
from benchmarks.convergence.probe import probe
from benchmarks.convergence.sweep import IMAGES
from benchmarks.convergence.training import GRIDS, Recipe, area, train
from tli_cli.fitting.trial import Trial

RATES = GRIDS["adamw"][1:4]


def main() -> None:
    """Print the accuracy before any step, the trial, and the area under the curve at each learning rate."""
    known = {pair.name: pair for half in HALVES if half != "reported" for pair in PAIRS[half]}
    parser = ArgumentParser(prog="python -m benchmarks.convergence.quick", description=__doc__)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--pairs", nargs="+", required=True, choices=list(known))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for name in given.pairs:
        data = load(known[name].target_data, IMAGES)
        for method in given.methods:
            start = starts.make(method, known[name], given.seed)
            before = probe(deepcopy(start.model), data)
            tried = Trial(known[name].target.input_shape, 0).learned(deepcopy(start.model)) or 0.0
            areas = {r: area(train(deepcopy(start.model), data, Recipe(rate=r), given.seed)) for r in RATES}
            shown = ", ".join(f"{rate}: {100 * found:.1f}" for rate, found in areas.items())
            best = 100 * max(areas.values())
            print(
                f"{name}  {method}: before {100 * before:.1f}, trial {100 * tried:.1f}, best {best:.1f} ({shown})",
                flush=True,
            )


if __name__ == "__main__":
    main()
