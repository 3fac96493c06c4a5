"""Tables and correlations of score and benefit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from scipy.stats import spearmanr


@dataclass(frozen=True)
class Row:
    """A source for a target: its score, and its benefit by area and by accuracy before any step."""

    part: str
    target: str
    source: str
    score: float
    benefit: float
    before: float


def report(rows: Sequence[Row]) -> str:
    """Return the rows of each target, the best score first, and the rank correlations of each part."""
    lines = ["| target | source | score | benefit | before |", "|---|---|---:|---:|---:|"]
    for row in sorted(rows, key=lambda row: (row.part, row.target, -row.score)):
        lines.append(f"| {row.target} | {row.source} | {row.score:.2f} | {row.benefit:.2f} | {row.before:.2f} |")
    lines += ["", "| part | pairs | benefit: overall | within a target | before: overall | within a target |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for part in dict.fromkeys(row.part for row in rows):
        chosen = [row for row in rows if row.part == part]
        figures = [figure(chosen, by) for by in ("benefit", "before") for figure in (overall, within)]
        lines.append(f"| {part} | {len(chosen)} | " + " | ".join(f"{value:.2f}" for value in figures) + " |")
    return "\n".join(lines)


def overall(rows: Sequence[Row], by: str) -> float:
    """Return Spearman's rank correlation of the score with `by` over all rows."""
    return float(spearmanr([row.score for row in rows], [getattr(row, by) for row in rows])[0])


def within(rows: Sequence[Row], by: str) -> float:
    """Return the mean over targets of the rank correlation among the sources of one target."""
    targets = dict.fromkeys(row.target for row in rows)
    return mean(overall([row for row in rows if row.target == target], by) for target in targets)
