"""What fits of fewer gradient steps are worth: `python -m benchmarks.convergence.short_fits --looks 0 1536 128000`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import torch

from benchmarks.convergence.networks import CACHE
from benchmarks.convergence.pairs import PAIRS, Pair
from benchmarks.convergence.plain import PLAIN
from benchmarks.convergence.results import Results
from benchmarks.convergence.starts import LIMIT
from benchmarks.convergence.summary import Row, outcome
from benchmarks.convergence.sweep import Case, subject, sweep
from tli_cli.fitting import work

PAIR_NAMES = ("resnet-to-vit", "vit-to-resnet", "resnet-narrower", "vit-narrower")
OPTIMIZER = "adamw"


def main() -> None:
    """Fit each pair with so many looks at made-up samples, train, and print areas and shares as a table."""
    parser = ArgumentParser(prog="python -m benchmarks.convergence.short_fits", description=__doc__)
    parser.add_argument("--looks", type=int, nargs="+", default=[0, 1536, 128000], help="samples of all gradient steps")
    parser.add_argument("--pairs", nargs="+", default=list(PAIR_NAMES))
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    pairs = [pair for pair in PAIRS["tuned"] if pair.name in given.pairs]
    rows = {looks: _row_for_each(pairs, looks, given.seeds) for looks in given.looks}
    heads = ["pair", "best plain", "maps", *(f"{looks} looks" for looks in given.looks), "limit"]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for index, pair in enumerate(pairs):
        found = [rows[looks][index] for looks in given.looks]
        shown = [found[0].best_plain, "maps", *("fit" for _ in found), LIMIT]
        cells = [_cell(row, name) for row, name in zip([found[0], found[0], *found, found[0]], shown, strict=True)]
        print(f"| {pair.name} | " + " | ".join(cells) + " |")


def _row_for_each(pairs: list[Pair], looks: int, seeds: int) -> list[Row]:
    """Return what the plain starts, maps, the limit and fits of so many looks reach on each pair."""
    work.STEPS = work.LEAST_STEPS = looks // work.BATCH
    shared, own = Results(_kept("starts")), Results(_kept(str(looks)))
    methods = (*PLAIN, "maps", LIMIT)
    sweep([Case(pair, method, OPTIMIZER) for pair in pairs for method in methods], seeds, shared, 600)
    sweep([Case(pair, "fit", OPTIMIZER) for pair in pairs], seeds, own, 600)
    found = []
    for pair in pairs:
        runs = {name: shared.of(subject(pair, name), name, OPTIMIZER) for name in methods}
        runs["fit"] = own.of(pair.name, "fit", OPTIMIZER)
        found.append(Row(pair, {name: summed for name, kept in runs.items() if (summed := outcome(kept)) is not None}))
    return found


def _kept(name: str) -> Path:
    return CACHE / f"short-fits-{name}.jsonl"


def _cell(row: Row, method: str) -> str:
    area = row.outcomes[method].area
    return f"{100 * area:.1f}" + (f" ({row.share(method):.2f})" if method in ("fit", "maps") else "")


if __name__ == "__main__":
    main()
