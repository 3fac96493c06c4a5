"""Run commands against each other: seconds, processor seconds and peak memory of each, in rounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As users have it: with compiled modules kept."""


@dataclass(frozen=True)
class Timing:
    """Wall and processor seconds of one command over several rounds, and its peak resident bytes."""

    name: str
    seconds: tuple[float, ...]
    processor: tuple[float, ...]
    peak: int

    @property
    def median(self) -> float:
        return median(self.seconds)


def run(command: Sequence[str]) -> tuple[float, float, int]:
    """Return the wall and processor seconds and the peak resident bytes of `command`; fail where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def compare(commands: dict[str, Sequence[str]], output: Path, rounds: int) -> list[Timing]:
    """Return the timings of `commands`, each of which writes into the directory `output`.

    Every other round goes backwards; each command starts with that directory empty and all writes on the disk.
    """
    taken: dict[str, list[tuple[float, float, int]]] = {name: [] for name in commands}
    for i in range(rounds):
        for name in list(commands)[:: 1 if i % 2 == 0 else -1]:
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir()
            os.sync()
            taken[name].append(run(commands[name]))
    shutil.rmtree(output)
    return [
        Timing(name, tuple(s for s, _, _ in rows), tuple(p for _, p, _ in rows), max(m for _, _, m in rows))
        for name, rows in taken.items()
    ]
