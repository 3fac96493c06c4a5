"""The plots: accuracy curves of each pair, and the share of the possible gain by method."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from benchmarks.convergence.plain import PLAIN
from benchmarks.convergence.starts import LIMIT
from benchmarks.convergence.summary import Outcome, Row
from benchmarks.convergence.training import Recipe

COLOURS = {"plain": "#888888", "names": "#bb9a00", "iatransfer": "#c44e52", "auto": "#1f6fb4", LIMIT: "#2d8a4e"}


def plot_curves(rows: list[Row], path: Path, columns: int = 4) -> None:
    """Draw the mean accuracy over the steps for every pair, with the range over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    height = -(-len(rows) // columns)
    figure, axes = pyplot.subplots(height, columns, figsize=(3.2 * columns, 2.4 * height), squeeze=False, sharex=True)
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for row, axis in zip(rows, axes.flat, strict=False):
        axis.set_title(row.pair.name, fontsize=9)
        for name, outcome in _shown(row).items():
            _draw(axis, outcome, name)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncol=len(labels), frameon=False)
    figure.supxlabel("steps")
    figure.supylabel("test accuracy")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / (2.4 * height)))
    _save(figure, path)


def plot_shares(rows: list[Row], methods: list[str], path: Path) -> None:
    """Draw the share of the possible gain of every pair as dots, one line a method, with the mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [m for m in methods if m not in (*PLAIN, LIMIT) and any(m in row.outcomes for row in rows)]
    figure, axis = pyplot.subplots(figsize=(7, 0.4 * len(shown) + 1))
    for height, method in enumerate(reversed(shown)):
        shares = [max(-1.0, row.share(method)) for row in rows if method in row.outcomes]
        axis.plot(shares, [height] * len(shares), "o", color=COLOURS.get(method, "#555555"), alpha=0.5, markersize=4)
        axis.plot([mean(shares)], [height], "|", color="black", markersize=14)
    axis.set_yticks(range(len(shown)), list(reversed(shown)))
    axis.axvline(0, color="#888888", linewidth=0.8)
    axis.axvline(1, color=COLOURS[LIMIT], linewidth=0.8)
    axis.set_xlabel("share of the possible gain (0: best plain start, 1: the target trained on the source's data)")
    figure.tight_layout()
    _save(figure, path)


def _shown(row: Row) -> dict[str, Outcome]:
    named = {"plain": row.outcomes[row.best_plain]}
    return named | {name: row.outcomes[name] for name in COLOURS if name in row.outcomes}


def _draw(axis: object, outcome: Outcome, name: str) -> None:
    steps = [Recipe().every * index for index in range(len(outcome.curves[0]))]
    values = list(zip(*outcome.curves, strict=True))
    axis.plot(
        steps, [mean(each) for each in values], color=COLOURS[name], label="best plain" if name == "plain" else name
    )
    low, high = [min(each) for each in values], [max(each) for each in values]
    axis.fill_between(steps, low, high, color=COLOURS[name], alpha=0.15, linewidth=0)


def _save(figure: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
