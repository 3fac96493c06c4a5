"""The runs of one pair, in a process of their own."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.convergence.training import area
from benchmarks.real_size.pairs import PAIRS
from benchmarks.real_size.starts import STARTS, Starts
from benchmarks.real_size.tasks import load
from benchmarks.real_size.training import train

RATES = (3e-4, 1e-3, 3e-3)
TUNED = 100
"""The seed on which the learning rate is chosen."""


def run(pair: str, device: str, seeds: int, steps: int, source_steps: int, until: float, out: Path) -> str:
    """Run all starts of one pair and return what to say of it."""
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    with TemporaryDirectory() as folder:
        starts = Starts(PAIRS[pair], Path(folder), device, source_steps)
        for record in _runs(pair, starts, seeds, steps, until):
            with out.open("a") as file:
                file.write(json.dumps(record) + "\n")
        about = {
            "pair": pair,
            "seconds": starts.seconds,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        with out.open("a") as file:
            file.write(json.dumps(about) + "\n")
    return f"{pair}: {starts.seconds}"


def _runs(pair: str, starts: Starts, seeds: int, steps: int, until: float) -> Iterator[dict[str, object]]:
    task = load(starts.pair.target_task, starts.device)
    for start in STARTS:
        tried = {}
        for seed, rates in [(TUNED, RATES)] + [(seed, ()) for seed in range(seeds)]:
            for rate in rates or (max(tried, key=lambda rate: tried[rate]),):
                if time.time() > until:
                    return
                curve = train(starts.make(start, task.classes, seed), task, rate, steps, seed)
                if rates:
                    tried[rate] = area(curve)
                yield {"pair": pair, "start": start, "rate": rate, "seed": seed, "curve": curve}
