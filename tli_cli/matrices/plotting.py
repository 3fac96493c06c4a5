"""Draw a matrix of scores as a heat map in which alike models stand side by side."""

from __future__ import annotations

from math import ceil, floor
from pathlib import Path

from tli_cli.decoding import shown
from tli_cli.errors import TliError
from tli_cli.matrices.clustering import clustered_order
from tli_cli.matrices.heat_page import heat_page
from tli_cli.matrices.matrix import Matrix

SUFFIXES = (".png", ".svg", ".html")
NAMED, NUMBERED = 120, 24
"""So many models at most are named beside the map, and have their scores written into its cells."""

LABEL = 40
"""So many characters of a name stand beside it."""


def check_suffix(path: Path) -> None:
    """Raise `TliError` unless the name of `path` says a format that can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise TliError(
            f"{path}: expected a name that ends in {', '.join(SUFFIXES)}, found {path.suffix or 'no ending'}"
        )


def drawing(matrix: Matrix, suffix: str) -> bytes:
    """Return the heat map as a file of the format that `suffix` names."""
    order = clustered_order(matrix.values)
    names = [matrix.names[i] for i in order]
    values = [[matrix.values[i][j] for j in order] for i in order]
    if suffix.lower() == ".html":
        return heat_page(names, values, f"TLI score, {matrix.matcher}").encode()
    return _figure(names, values, matrix.matcher, suffix.lower()[1:])


def _figure(names: list[str], values: list[list[float]], matcher: str, kind: str) -> bytes:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise TliError(
            "matplotlib is not installed: install it with `pip install matplotlib scipy`, or name a file .html"
        ) from error
    from io import BytesIO

    side = min(max(4.0, 0.24 * len(names) + 2.4), 30.0)
    figure = Figure(figsize=(side + 0.6, side), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
    axes.set(xlabel="target", ylabel="source", title=f"TLI score, {matcher}")
    step = ceil(len(names) / NAMED)
    places = range(0, len(names), step)
    labels = [_label(shown(name)) for name in names[::step]]
    axes.set_xticks(places, labels, rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(places, labels, fontsize=7, parse_math=False)
    if step > 1:
        axes.set(title=f"{axes.get_title()}; one of {step} models is named")
    if len(names) <= NUMBERED:
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                shade = "black" if value > 0.6 else "white"
                axes.text(
                    j, i, f"{floor(value * 100 + 1e-9) / 100:.2f}", ha="center", va="center", fontsize=5, color=shade
                )
    figure.colorbar(image, shrink=0.7)
    out = BytesIO()
    with rc_context({"svg.hashsalt": "tli"}):
        figure.savefig(out, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()


def _label(name: str) -> str:
    """Return `name`, without the middle of one that would leave no room for cells."""
    return name if len(name) <= LABEL else f"{name[: LABEL // 3]}\u2026{name[-LABEL + LABEL // 3 :]}"
