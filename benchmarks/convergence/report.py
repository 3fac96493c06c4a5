"""The report: tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from math import isinf
from statistics import mean

from benchmarks.convergence.plain import PLAIN
from benchmarks.convergence.starts import LIMIT
from benchmarks.convergence.summary import Row, geometric_mean

GROUPS = {"changed": "source changed", "smaller": "smaller", "family": "other family"}


def tables(rows: list[Row], methods: list[str], method: str = "auto") -> str:
    """Return every table: the methods over all pairs, `method` pair by pair, all areas."""
    others = [name for name in methods if name not in (*PLAIN, LIMIT)]
    parts = [
        ("Methods over all pairs", _methods(rows, [*PLAIN, *others, LIMIT])),
        (f"`{method}` on each pair", _pairs([row for row in rows if method in row.outcomes], method, others)),
        ("Area under the accuracy curve, percent", _areas(rows, [*PLAIN, *others, LIMIT])),
    ]
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts)


def _methods(rows: list[Row], methods: list[str]) -> str:
    heads = ["method", "pairs", "over Kaiming", "over best plain", "least", *(f"share: {g}" for g in GROUPS.values())]
    lines = []
    for method in methods:
        have = [row for row in rows if method in row.outcomes]
        if not have:
            continue
        over_best = [row.over(method, row.best_plain) for row in have]
        ratios = [geometric_mean([row.over(method, "kaiming") for row in have]), geometric_mean(over_best)]
        shares = [_mean_share([row for row in have if row.pair.group == group], method) for group in GROUPS]
        lines.append([method, str(len(have)), *(f"{value:.2f}" for value in (*ratios, min(over_best))), *shares])
    return _markdown(heads, lines)


def _mean_share(rows: list[Row], method: str) -> str:
    return f"{mean(row.share(method) for row in rows):.2f}" if rows else "-"


def _pairs(rows: list[Row], method: str, others: list[str]) -> str:
    heads = ["pair", "source to target", "data", "best plain", method, "limit", "over Kaiming", "over best plain"]
    heads += ["share", "best other", "before: plain, it, limit", "steps to plain's final"]
    return _markdown(heads, [_pair(row, method, [name for name in others if name != method]) for row in rows])


def _pair(row: Row, method: str, others: list[str]) -> list[str]:
    plain, own, limit = row.outcomes[row.best_plain], row.outcomes[method], row.outcomes[LIMIT]
    steps = own.steps_to(plain.final)
    return [
        row.pair.name,
        f"{row.pair.source} → {row.pair.target}",
        row.pair.target_data,
        f"{row.best_plain} {100 * plain.area:.1f}",
        f"{100 * own.area:.1f} ± {100 * own.spread:.1f}",
        f"{100 * limit.area:.1f}",
        f"{row.over(method, 'kaiming'):.2f}",
        f"{row.over(method, row.best_plain):.2f}",
        f"{row.share(method):.2f}",
        _best_other(row, others),
        ", ".join(f"{100 * outcome.before:.0f}" for outcome in (plain, own, limit)),
        "not reached" if isinf(steps) else f"{steps:.0f}",
    ]


def _best_other(row: Row, others: list[str]) -> str:
    have = [name for name in others if name in row.outcomes]
    if not have:
        return "-"
    best = max(have, key=lambda name: row.outcomes[name].area)
    return f"{best} {100 * row.outcomes[best].area:.1f} ± {100 * row.outcomes[best].spread:.1f}"


def _areas(rows: list[Row], methods: list[str]) -> str:
    def cell(row: Row, method: str) -> str:
        return f"{100 * row.outcomes[method].area:.1f}" if method in row.outcomes else "-"

    shown = [method for method in methods if any(method in row.outcomes for row in rows)]
    return _markdown(["pair", *shown], [[row.pair.name, *(cell(row, method) for method in shown)] for row in rows])


def _markdown(heads: list[str], lines: list[list[str]]) -> str:
    join: Callable[[list[str]], str] = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    return "\n".join([join(heads), join(["---"] * len(heads)), *(join(line) for line in lines)])
