"""Train networks of the size that people train, on a GPU, from plain starts, equal names, `auto` and the limit.

Each start's learning rate is the best of three on a seed that is not reported. Pairs run side by side, in
processes of their own.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.real_size.pairs import PAIRS
from benchmarks.real_size.runs import run


def main() -> None:
    """Write one line of JSON for each run as it ends."""
    parser = ArgumentParser(prog="python -m benchmarks.real_size", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--source-steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=60, help="no run begins later than this")
    parser.add_argument("--processes", type=int, default=10)
    given = parser.parse_args()
    until = time.time() + 60 * given.minutes
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(run, name, given.device, given.seeds, given.steps, given.source_steps, until, given.out)
            for name in given.pairs
        ]
        for done in as_completed(waiting):
            print(done.result(), flush=True)


if __name__ == "__main__":
    main()
