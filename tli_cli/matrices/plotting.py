"""Draw a matrix of scores as a heat map in which alike models stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tli_cli.decoding import shown
from tli_cli.errors import TliError
from tli_cli.matrices.heat_page import heat_page
from tli_cli.matrices.matrix import Matrix


def clustered_order(values: Sequence[Sequence[float]]) -> list[int]:
    """Return the leaves of an average-linkage tree over the mean of both directions.

    Each pair of branches is turned so that their nearest ends meet. The tree is found by following nearest neighbours
    (Murtagh, 1983): `O(n^2)` time and memory.
    """
    scores = np.asarray(values, dtype=np.float64)
    count = len(scores)
    between = 1.0 - (scores + scores.T) / 2
    apart = between.copy()
    np.fill_diagonal(apart, np.inf)
    leaves: list[list[int]] = [[i] for i in range(count)]
    chain: list[int] = []
    for _ in range(count - 1):
        one, other = _nearest_pair(apart, leaves, chain)
        sizes = len(leaves[one]), len(leaves[other])
        row = (sizes[0] * apart[one] + sizes[1] * apart[other]) / sum(sizes)
        row[[one, other]] = np.inf
        apart[one], apart[:, one] = row, row
        apart[other], apart[:, other] = np.inf, np.inf
        leaves[one] = _joined(leaves[one], leaves[other], between)
        leaves[other] = []
    return next((group for group in leaves if group), [])


def _nearest_pair(apart: NDArray[np.float64], leaves: list[list[int]], chain: list[int]) -> tuple[int, int]:
    """Return two clusters that are each other's nearest; `chain` is left where the next search goes on."""
    if not chain:
        chain.append(next(i for i, group in enumerate(leaves) if group))
    while True:
        last = chain[-1]
        nearest = int(np.argmin(apart[last]))
        if len(chain) > 1 and apart[last, chain[-2]] <= apart[last, nearest]:
            one, other = sorted((chain.pop(), chain.pop()))
            return one, other
        chain.append(nearest)


def _joined(one: list[int], other: list[int], between: NDArray[np.float64]) -> list[int]:
    ways = [(one, other), (one[::-1], other), (one, other[::-1]), (one[::-1], other[::-1])]
    left, right = min(ways, key=lambda way: between[way[0][-1], way[1][0]])
    return [*left, *right]


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
