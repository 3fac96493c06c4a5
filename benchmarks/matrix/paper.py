"""Hold our matrix against the first paper's: `python -m benchmarks.matrix.paper matrix-similarity.csv`.

The file is the one published with arXiv 2101.02757, `matrix-similarity.csv` in maciejczyzewski/tli-pytorch:
22 architectures by timm's names of that time; rows are targets, columns are sources. It is not kept here. The three
matrices are drawn side by side in the order of the file.
"""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tli_cli.matrices.matrix import score_all

MATCHERS = ("dp", "path")
PICTURE = Path(__file__).parents[2] / "docs" / "img" / "paper-matrix.png"
Floats = NDArray[np.float64]


def main() -> None:
    """Print the rank correlations as a Markdown table and draw the matrices."""
    parser = ArgumentParser(prog="python -m benchmarks.matrix.paper", description=__doc__)
    parser.add_argument("published", type=Path)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    given = parser.parse_args()
    names, published = read(given.published)
    ours = {matcher: scores(names, matcher) for matcher in MATCHERS}
    print("| matcher | all pairs | two different networks | within a target | mean of both directions |")
    print("|---|---:|---:|---:|---:|")
    for matcher, matrix in ours.items():
        print(f"| `{matcher}` | " + " | ".join(f"{value:.3f}" for value in correlations(matrix, published)) + " |")
    draw(names, {"the paper": published} | ours, given.picture)


def read(path: Path) -> tuple[list[str], Floats]:
    """Return the names and the values, `(sources, targets)`."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    return head[1:], np.array([[float(cell) for cell in row[1:]] for row in rows]).T


def scores(names: list[str], matcher: str) -> Floats:
    """Return the scores of all pairs, `(sources, targets)`."""
    return np.array(score_all(names, matcher=matcher).values)


def correlations(ours: Floats, published: Floats) -> tuple[float, float, float, float]:
    """Return Spearman's rank correlation in four ways: see the table's head."""
    apart = ~np.eye(len(ours), dtype=bool)
    within = np.mean([_rank(ours[apart[:, t], t], published[apart[:, t], t]) for t in range(len(ours))])
    both = _rank((ours + ours.T)[apart], (published + published.T)[apart])
    return _rank(ours.ravel(), published.ravel()), _rank(ours[apart], published[apart]), float(within), both


def _rank(first: Floats, second: Floats) -> float:
    return float(spearmanr(first, second)[0])


def draw(names: list[str], matrices: dict[str, Floats], path: Path) -> None:
    """Draw the matrices side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 7.6), dpi=80, layout="constrained")
    panels: Any = figure.subplots(1, len(matrices), sharey=True)
    for axes, (title, matrix) in zip(panels, matrices.items(), strict=True):
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set(title=title, xlabel="target")
    panels[0].set_yticks(range(len(names)), names, fontsize=7)
    panels[0].set_ylabel("source")
    figure.colorbar(image, ax=panels, shrink=0.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
