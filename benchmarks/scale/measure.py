"""Time `tli inject` against `cp` on generated checkpoints, and take its peak memory and start-up times.

Each round runs every command once, in alternating order, after all earlier writes have reached the disk. `cp` does not
wait for the disk and `tli` does, so `cp` followed by `sync` of its output is the fair comparison; both are reported.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from statistics import median

from generate import KINDS, generate

from tli_cli.checkpoints import open_checkpoint, parse_size

TLI = [sys.executable, "-m", "tli_cli"]


@dataclass(frozen=True)
class Timing:
    """Seconds and peak resident bytes of one command over several rounds."""

    name: str
    seconds: tuple[float, ...]
    peak: int

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def spread(self) -> str:
        return f"{min(self.seconds):.2f}-{max(self.seconds):.2f}"


def run(command: Sequence[str]) -> tuple[float, int]:
    """Return the seconds and the peak resident bytes of `command`; fail where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode()}")
    return seconds, usage.ru_maxrss * 1024


def compare(commands: dict[str, Sequence[str]], output: Path, rounds: int) -> list[Timing]:
    """Return the timings of `commands`, each of which writes `output`; every other round goes backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks = dict.fromkeys(commands, 0)
    for i in range(rounds):
        for name in list(commands)[:: 1 if i % 2 == 0 else -1]:
            output.unlink(missing_ok=True)
            os.sync()
            taken, peak = run(commands[name])
            seconds[name].append(taken)
            peaks[name] = max(peaks[name], peak)
    output.unlink(missing_ok=True)
    return [Timing(name, tuple(seconds[name]), peaks[name]) for name in commands]


def copying(kind: str, size: int, work: Path, rounds: int) -> dict[str, object]:
    """Measure equal shapes: everything is copied, under other names' order or not."""
    source, target, out = (work / f"{name}.safetensors" for name in ("source", "target", "out"))
    generate(kind, size, source)
    shutil.copy(source, target)
    checkpoint = open_checkpoint(source)
    item = {"float32": 4, "bfloat16": 2, "int64": 8}
    largest = max(prod(spec.shape) * item[spec.dtype] for spec in checkpoint.tensors)
    inject = [*TLI, "inject", str(source), "--target", str(target), "-o", str(out), "--force"]
    timings = compare(
        {
            "cp": ["cp", str(source), str(out)],
            "cp, sync": ["sh", "-c", f"cp '{source}' '{out}' && sync '{out}'"],
            "tli inject": inject,
            "tli match": [*TLI, "match", str(source), str(target), "--json"],
        },
        out,
        rounds,
    )
    by_name = {timing.name: timing for timing in timings}
    tli = by_name["tli inject"]
    allowed = (300 << 20) + 3 * largest
    _show(f"{kind}, {source.stat().st_size:,} bytes, {len(checkpoint.tensors)} tensors, largest {largest:,}", timings)
    for other in ("cp", "cp, sync"):
        print(f"  tli inject / {other}: {tli.median / by_name[other].median:.2f}")
    print(f"  peak {tli.peak >> 20} MiB, allowed {allowed >> 20} MiB: {'met' if tli.peak <= allowed else 'NOT met'}")
    return {"kind": kind, "bytes": source.stat().st_size, "largest": largest, "timings": [asdict(t) for t in timings]}


def start_up(rounds: int) -> dict[str, object]:
    """Measure how long it takes until a command could do something."""
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "import safetensors, numpy": [sys.executable, "-c", "import safetensors, numpy"],
        "import torch": [sys.executable, "-c", "import torch"],
        "tli --help": [*TLI, "--help"],
        "import tli_cli.checkpoints": [sys.executable, "-c", "import tli_cli.checkpoints"],
    }
    timings = compare(commands, Path(os.devnull + ".out"), rounds)
    _show("start-up", timings)
    return {"timings": [asdict(t) for t in timings]}


def _show(title: str, timings: Sequence[Timing]) -> None:
    print(title)
    for timing in timings:
        print(f"  {timing.name:<28} {timing.median:8.2f} s  ({timing.spread})  peak {timing.peak >> 20:6} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["100MB", "1GB"], help="such as 100MB 1GB 10GB")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, required=True, help="an empty directory on the disk to measure")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, object]] = [start_up(arguments.rounds)]
    for size in arguments.sizes:
        results += [copying(kind, parse_size(size), arguments.work, arguments.rounds) for kind in arguments.kinds]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
