"""Write the table of `docs/convergence.md` from the runs that were kept."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.convergence.training import area
from benchmarks.real_size.runs import TUNED

KEPT = Path(__file__).parent / "results.jsonl"
SHOWN = ("default", "names", "auto", "limit")


def main(path: Path) -> None:
    """Print one row for each pair: areas in percent of the runs at the chosen rate, and the accuracy at their end."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    curves: dict[str, dict[str, dict[float, dict[int, list[float]]]]] = {}
    for record in (record for record in records if "curve" in record):
        rates = curves.setdefault(record["pair"], {}).setdefault(record["start"], defaultdict(dict))
        rates[record["rate"]][record["seed"]] = record["curve"]
    print("| pair | " + " | ".join(SHOWN) + " |\n|---|" + "---|" * len(SHOWN))
    for pair, starts in curves.items():
        print(f"| {pair} | " + " | ".join(_cell(starts.get(start)) for start in SHOWN) + " |")


def _cell(rates: dict[float, dict[int, list[float]]] | None) -> str:
    """Return the mean area, its range and the last accuracy; of the seed that the rate was chosen on (a star) where
    there is no other."""
    if not rates:
        return "-"
    runs = max(rates.values(), key=lambda runs: area(runs[TUNED]))
    shown = [curve for seed, curve in runs.items() if seed != TUNED] or [runs[TUNED]]
    areas = [100 * area(curve) for curve in shown]
    spread = f" ({min(areas):.1f}-{max(areas):.1f})" if len(areas) > 1 else "*"
    return f"{sum(areas) / len(areas):.1f}{spread}, {sum(100 * curve[-1] for curve in shown) / len(shown):.0f}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT)
