"""Run the benchmark and print its tables: `python -m benchmarks.convergence --half tuned --seeds 2`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch

from benchmarks.convergence import plots, report, starts
from benchmarks.convergence.pairs import HALVES, PAIRS
from benchmarks.convergence.results import KEPT, Results
from benchmarks.convergence.summary import rows
from benchmarks.convergence.sweep import Case, sweep
from benchmarks.convergence.training import GRIDS

METHODS = (*starts.REFERENCES, *starts.OTHERS, *starts.TLI)


def main() -> None:
    """Sweep what was asked for, then print the tables and write them where told."""
    given = _arguments()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    pairs = [pair for pair in PAIRS[given.half] if not given.pairs or pair.name in given.pairs]
    results = Results(given.results or KEPT / f"{given.half}.jsonl")
    cases = [Case(pair, method, given.optimizer) for pair in pairs for method in given.methods]
    if given.again:
        results.forget({case.identity for case in cases})
    if not given.table_only and not sweep(cases, given.seeds, results, given.budget_minutes):
        print("out of time: the tables below are of what is there; run again to go on", flush=True)
    known = list(dict.fromkeys([*METHODS, *given.methods]))
    found = rows(pairs, known, given.optimizer, results)
    if not found:
        print("no pair has its plain starts and its limit yet")
        return
    text = report.tables(found, known)
    print(text)
    if given.write:
        given.write.mkdir(parents=True, exist_ok=True)
        stem = f"convergence-{given.half}-{given.optimizer}"
        (given.write / f"{stem}.md").write_text(text + "\n")
        plots.plot_curves(found, given.write / f"{stem}-curves.png")
        plots.plot_shares(found, known, given.write / f"{stem}-shares.png")


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.convergence", description=__doc__)
    names = [pair.name for half in HALVES for pair in PAIRS[half]]
    parser.add_argument("--half", choices=HALVES, default="tuned")
    parser.add_argument("--pairs", nargs="*", choices=names, default=[], metavar="PAIR", help=", ".join(names))
    parser.add_argument(
        "--methods",
        nargs="*",
        default=list(METHODS),
        metavar="METHOD",
        help=f"{', '.join(METHODS)}; any method of tli, also as METHOD@MATCHER",
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--optimizer", choices=list(GRIDS), default="adamw")
    parser.add_argument("--budget-minutes", type=float, default=60.0)
    parser.add_argument("--again", action="store_true", help="forget these runs first (after a method changed)")
    parser.add_argument("--results", type=Path, help="the file of runs to go on from (default: results/HALF.jsonl)")
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--write", type=Path, help="a folder for the tables and plots")
    return parser.parse_args()


if __name__ == "__main__":
    main()
