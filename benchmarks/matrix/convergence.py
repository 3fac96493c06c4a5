"""Hold the score against the convergence benchmark's results: `python -m benchmarks.matrix.convergence`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from scipy.stats import spearmanr

from benchmarks.convergence.pairs import HALVES, PAIRS
from benchmarks.convergence.plain import PLAIN
from benchmarks.convergence.results import KEPT, Results
from benchmarks.convergence.starts import LIMIT
from benchmarks.convergence.summary import rows
from benchmarks.matrix.benefit import score_nets

METHOD = "auto"


def main() -> None:
    """Print score and share of the possible gain for every pair that is measured, and their rank correlation."""
    parser = ArgumentParser(prog="python -m benchmarks.matrix.convergence", description=__doc__)
    parser.add_argument("--results", type=Path, help="a file of runs (default: those that are kept)")
    parser.add_argument("--optimizer", default="adamw")
    given = parser.parse_args()
    for half in HALVES:
        results = Results(given.results or KEPT / f"{half}.jsonl")
        found = [
            (score_nets(row.pair.source, row.pair.target), row.share(METHOD), row.pair.name)
            for row in rows(PAIRS[half], [*PLAIN, LIMIT, METHOD], given.optimizer, results)
            if METHOD in row.outcomes
        ]
        print(f"| {half}: pair | score | share of the possible gain |\n|---|---:|---:|")
        for score, share, name in sorted(found, reverse=True):
            print(f"| {name} | {score:.2f} | {share:.2f} |")
        if len(found) > 2:
            scores, shares = [score for score, _, _ in found], [share for _, share, _ in found]
            print(f"\nSpearman over {len(found)} pairs: {float(spearmanr(scores, shares)[0]):.2f}\n")


if __name__ == "__main__":
    main()
