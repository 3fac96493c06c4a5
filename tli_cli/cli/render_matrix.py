"""Show the scores between many models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tli_cli.cli import render
from tli_cli.cli.render import Style
from tli_cli.cli.text import count_text, score_text, similarity_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from tli_cli.matrices.matrix import Matrix

MOST_COLUMNS = 14
"""More columns than this do not stand side by side; the best sources of each target are listed then."""

BEST = 3


def render_matrix(matrix: Matrix, style: Style) -> None:
    """Print the matrix: rows are sources, columns are targets."""
    rows = zip(matrix.names, matrix.values, strict=True)
    if style is Style.JSON:
        render.as_json(
            {"names": list(matrix.names), "matrix": [list(row) for row in matrix.values], "matcher": matrix.matcher}
        )
    elif style is Style.CSV:
        render.as_csv(("source", *matrix.names), ((name, *row) for name, row in rows))
    elif style is Style.PLAIN:
        render.plain((name, *map(score_text, row)) for name, row in rows)
    else:
        render.show(*matrix_parts(matrix))


def matrix_parts(matrix: Matrix) -> Iterator[RenderableType]:
    """Yield the whole table, or where it is too wide, the best sources of each target."""
    from rich.text import Text

    if len(matrix.names) <= MOST_COLUMNS:
        yield _whole(matrix)
        yield Text("row: source, column: target", style="dim")
    else:
        yield _best(matrix)
        yield Text(f"{count_text(len(matrix.names) ** 2, 'score')}; --csv or --json gives them all, --plot draws them")


def _whole(matrix: Matrix) -> Table:
    table = render.plain_table(padding=(0, 1, 0, 0))
    table.add_column("", justify="right", style="dim")
    table.add_column("source", overflow="fold", min_width=16)
    for i, _ in enumerate(matrix.names, 1):
        table.add_column(str(i), justify="right", no_wrap=True, min_width=len(similarity_text(1)))
    for i, (name, row) in enumerate(zip(matrix.names, matrix.values, strict=True), 1):
        table.add_row(str(i), name, *map(_cell, row))
    return table


def _cell(score: float) -> Text:
    from rich.text import Text

    return Text(similarity_text(score), style="bold green" if score == 1 else "" if score >= 0.5 else "dim")


def _best(matrix: Matrix) -> Table:
    table = render.plain_table("target", f"best {BEST} of {len(matrix.names) - 1} sources")
    for j, target in enumerate(matrix.names):
        others = sorted((i for i in range(len(matrix.names)) if i != j), key=lambda i: (-matrix.values[i][j], i))
        best = (f"{similarity_text(matrix.values[i][j])} {matrix.names[i]}" for i in others[:BEST])
        table.add_row(target, "\n".join(best))
    return table
