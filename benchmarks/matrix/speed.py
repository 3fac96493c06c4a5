"""How long scores take: `python -m benchmarks.matrix.speed`, with `--whole` for all pairs of the catalogue.

One pair from the shell, beside `import torch`; the same pairs by DPIAT's own package (`IAT.sim` of `iatransfer` 1.0.3,
with its defaults), in the same run; and all pairs of a random sample, in seconds of the clock and of the processors.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from functools import partial
from os import sched_getaffinity, times
from pathlib import Path
from statistics import median
from subprocess import DEVNULL
from typing import Any

from tli_cli import catalogue
from tli_cli.matrices.matrix import score_all

MODELS = ("resnet18", "resnet50", "mobilenetv2_100", "efficientnet_b0", "regnety_004", "vit_small_patch16_224")
RUNS = 5
DPIAT_ALONE = """
import warnings; warnings.filterwarnings("ignore")
from benchmarks.matrix.speed import dpiat, models
source, target = models(("resnet50", "efficientnet_b0")).values()
print(dpiat(source, target))
"""
CASES = {
    "`import torch`": ["-c", "import torch"],
    "`tli score resnet50 efficientnet_b0`": ["-m", "tli_cli", "score", "timm:resnet50", "timm:efficientnet_b0"],
    "the same from Python with `IAT.sim`": ["-c", DPIAT_ALONE],
}


def main() -> None:
    """Print the tables."""
    parser = ArgumentParser(prog="python -m benchmarks.matrix.speed", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="how many names of the catalogue to draw")
    parser.add_argument("--whole", action="store_true", help="score the whole catalogue as well")
    parser.add_argument("--only-whole", action="store_true", help="score the whole catalogue and nothing else")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    if not given.only_whole:
        _from_the_shell()
        _pairs()
    print("| names | pairs | processes | wall clock | CPU time |\n|---:|---:|---:|---:|---:|")
    names = sorted(map(str, catalogue.names()))
    if not given.only_whole:
        _matrix(random.Random(0).sample(names, given.sample))
    if given.whole or given.only_whole:
        _matrix(names)


def _from_the_shell() -> None:
    print(f"| one process, median of {RUNS} | wall clock | CPU time |\n|---|---:|---:|")
    for name, arguments in CASES.items():
        command = [sys.executable, *arguments]
        measured = [_timed(partial(subprocess.run, command, check=True, stdout=DEVNULL)) for _ in range(RUNS)]
        print(f"| {name} | {_text(measured, 0)} | {_text(measured, 1)} |", flush=True)
    print()


def _pairs() -> None:
    """Print how long a pair takes in a process that has all models ready."""
    from tli_cli.matching import MATCHERS
    from tli_cli.scoring.score import score_matching

    built, known = models(MODELS), {name: catalogue.load(f"timm:{name}") for name in MODELS}
    ways: dict[str, Callable[[str, str], object]] = {
        "`IAT.sim`": lambda a, b: dpiat(built[a], built[b]),
        "`tli`, `dp`": lambda a, b: score_matching(MATCHERS.get("dp")(known[a], known[b])),
        "`tli`, `path`": lambda a, b: score_matching(MATCHERS.get("path")(known[a], known[b])),
    }
    print(f"| all {len(MODELS) ** 2} pairs of {len(MODELS)} models, in one process | CPU time a pair |\n|---|---:|")
    for name, way in ways.items():
        begun = time.process_time()
        for source in MODELS:
            for target in MODELS:
                way(source, target)
        print(f"| {name} | {1000 * (time.process_time() - begun) / len(MODELS) ** 2:.1f} ms |", flush=True)
    print()


def _matrix(names: Sequence[str]) -> None:
    jobs = len(sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        wall, cpu = _timed(lambda: score_all(names, jobs=jobs, resume=file))
    print(f"| {len(names):,} | {len(names) ** 2:,} | {jobs} | {wall:.0f} s | {cpu:.0f} s |", flush=True)


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that `call` takes by the clock and on all processors, its processes included."""
    begun, before = time.monotonic(), times()
    call()
    after = times()
    return time.monotonic() - begun, sum(after[:4]) - sum(before[:4])


def _text(measured: Sequence[tuple[float, float]], which: int) -> str:
    values = sorted(seconds[which] for seconds in measured)
    return f"{median(values):.2f} s ({values[0]:.2f} to {values[-1]:.2f})"


def models(names: Sequence[str]) -> dict[str, object]:
    """Return timm's models by name, with values."""
    from tli_cli.catalogue.libraries import import_timm

    timm = import_timm()
    return {name: timm.create_model(name) for name in names}


def dpiat(source: object, target: object) -> float:
    """Return DPIAT's own similarity: what `IAT().sim(source, target)` does."""
    from benchmarks.convergence.iatransfer_package import _parts

    parts: dict[str, Any] = _parts()
    matching, score, standardize = parts["matching"], parts["score"], parts["standardization"]
    paths = standardize(source), standardize(target)
    score.precompute_scores(source, target)
    matching.set_score(score)
    return float(matching.sim(*paths))


if __name__ == "__main__":
    main()
