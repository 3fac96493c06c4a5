"""Write the tables of docs/scale.md from what `measure.py --json` kept."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import Any

START, END = "<!-- measured: begin -->", "<!-- measured: end -->"
BASE = 300 << 20
OURS = ("cp", "cp, sync", "tli inject")
LARGE, BEYOND_CACHE = 900_000_000, 7_000_000_000


def seconds(timing: dict[str, Any]) -> str:
    taken = timing["seconds"]
    return f"{median(taken):.2f} ({min(taken):.2f}-{max(taken):.2f})"


def tables(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the tables."""
    rounds = len(results[0]["timings"][0]["seconds"])
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "safetensors"))
    load = f"{results[0]['load']:.1f}"
    yield f"Medians of {rounds} rounds in seconds, with the range; 2 cores, a load of {load} at the start."
    yield f"Python {platform.python_version()}, {packages}."
    yield ""
    yield "| start-up | seconds | processor seconds |"
    yield "|---|---|---|"
    for timing in results[0]["timings"]:
        yield f"| `{timing['name']}` | {seconds(timing)} | {median(timing['processor']):.2f} |"
    yield ""
    columns = "what", "kind", "MB", "`cp`", "`cp`, `sync`", "`tli inject`", "of `cp`", "of `cp`, `sync`"
    yield f"| {' | '.join(columns)} | processor: `cp`, `tli` | peak MiB (allowed) |"
    yield "|---" * (len(columns) + 2) + "|"
    for case in results[1:]:
        by_name = {timing["name"]: timing for timing in case["timings"]}
        tli = by_name["tli inject"]
        ratios = [f"{median(tli['seconds']) / median(by_name[name]['seconds']):.1f}" for name in ("cp", "cp, sync")]
        allowed = (BASE + 3 * case["largest"]) >> 20
        times = " | ".join(seconds(by_name[name]) for name in ("cp", "cp, sync", "tli inject"))
        work = ", ".join(f"{median(by_name[name]['processor']):.1f}" for name in ("cp", "tli inject"))
        size = f"{case['size'] / 1e6:,.0f}"
        yield (
            f"| {case['what']} | {case['kind']} | {size} | {times} | {' | '.join(ratios)} | {work} | "
            f"{tli['peak'] >> 20} ({allowed}) |"
        )
    yield ""
    yield from summary(results[1:])
    others = [(case, t) for case in results[1:] for t in case["timings"] if t["name"] not in OURS]
    if others:
        yield ""
        yield "| the same by others | what | kind | MB | seconds | processor seconds | peak MiB |"
        yield "|---|---|---|---|---|---|---|"
        for case, t in others:
            size, processor = f"{case['size'] / 1e6:,.0f}", f"{median(t['processor']):.1f}"
            yield (
                f"| `{t['name']}` | {case['what']} | {case['kind']} | {size} | {seconds(t)} | {processor} | "
                f"{t['peak'] >> 20:,} |"
            )


def summary(cases: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how many rows are within the goals."""
    rows = [{timing["name"]: timing for timing in case["timings"]} for case in cases]
    sized = [(case["size"], "wider" in case["what"], row) for case, row in zip(cases, rows, strict=True)]
    for grown, goal in ((False, 1.2), (True, 2.0)):
        what = "Grown" if grown else "Equal shapes, cast or not, in one file or in shards"
        for name in ("cp", "cp, sync"):
            counts = []
            for least, words in ((0, "rows"), (LARGE, "above 900 MB"), (BEYOND_CACHE, "above 7 GB")):
                of_that = [row for size, wider, row in sized if wider == grown and size > least]
                some = [of(row, name, "seconds") <= goal for row in of_that]
                counts.append(f"{sum(some)} of {len(some)} {words}")
            line = f"- {what}: at most {goal} times the seconds of `{name}` in {', '.join(counts)}."
            yield from wrap(line, 120, subsequent_indent="  ")
    spent = [row["tli inject"]["peak"] <= BASE + 3 * case["largest"] for case, row in zip(cases, rows, strict=True)]
    yield f"- Peak memory within the goal in {sum(spent)} of {len(spent)} rows."


def of(row: dict[str, Any], name: str, what: str) -> float:
    """Return how many times what the command `name` takes is taken by `tli`."""
    return float(median(row["tli inject"][what]) / median(row[name][what]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="what measure.py --json wrote")
    parser.add_argument("--page", type=Path, default=Path("docs/scale.md"))
    arguments = parser.parse_args()
    before, _, rest = arguments.page.read_text(encoding="utf-8").partition(START)
    lines = "\n".join(tables(json.loads(arguments.results.read_text())))
    arguments.page.write_text(f"{before}{START}\n{lines}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
