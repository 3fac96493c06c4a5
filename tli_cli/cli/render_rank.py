"""Show sources in the order in which they should start a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tli_cli.cli import render
from tli_cli.cli.render import Style
from tli_cli.cli.text import score_text, share_text, similarity_text
from tli_cli.scoring.outlook import outlook

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tli_cli.ranking import Candidate, Ranking

HEADER = ("source", "score", "coverage", "parameters", "why")
NARROW = 110
"""A terminal of fewer columns has no room for the numbers of parameters beside the reasons."""
_REST = 44
"""The least columns that all but the sources take: names are what is copied."""


def render_ranking(ranking: Ranking, style: Style, top: int | None = None) -> None:
    """Print the best `top` candidates, all of them if None, and on standard error what was passed over."""
    shown = ranking.candidates[:top]
    if style is Style.JSON:
        render.as_json(ranking_value(ranking, shown))
    elif style is Style.CSV:
        render.as_csv(HEADER, ((c.source, c.score, c.coverage, c.parameters, why(c)) for c in shown))
    elif style is Style.PLAIN:
        render.plain(map(_cells, shown))
    else:
        render.show(*ranking_parts(ranking, shown, parameters=render.columns() >= NARROW))
    for line in ranking.skipped:
        render.warn(f"passed over: {line}")


def ranking_parts(ranking: Ranking, shown: Sequence[Candidate], *, parameters: bool = True) -> Iterator[RenderableType]:
    """Yield the table of candidates, with a column of their numbers of `parameters` or without."""
    from rich.text import Text

    table = render.plain_table()
    longest = max(len(candidate.source) for candidate in shown)
    table.add_column("source", overflow="fold", min_width=max(16, min(longest, render.columns() - _REST)))
    for number in ("TLI score", "coverage", *(["parameters"] if parameters else [])):
        table.add_column(number, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", style="dim")
    for i, candidate in enumerate(shown):
        name, score, coverage, size, reason = _cells(candidate)
        best = Text(score, style="bold green" if i == 0 else "bold")
        table.add_row(name, best, coverage, *([size] if parameters else []), reason)
    yield table
    if left_out := len(ranking.candidates) - len(shown):
        yield Text(f"and {left_out} more", style="dim")


def ranking_value(ranking: Ranking, shown: Sequence[Candidate]) -> dict[str, Any]:
    """Return the JSON value of a ranking, without its version."""
    candidates = [
        {
            **asdict(candidate),
            "outlook": outlook(candidate.score),
            "worst": [{"block": block, "similarity": worth} for block, worth in candidate.worst],
        }
        for candidate in shown
    ]
    return {
        "target": ranking.target,
        "sources": len(ranking.candidates),
        "candidates": candidates,
        "skipped": list(ranking.skipped),
    }


def why(candidate: Candidate) -> str:
    """Return in a few words what the score is made of."""
    if candidate.score == 1:
        return "every layer the same, in its place"
    lost = candidate.layers - candidate.fed
    same = f"{outlook(candidate.score)}: {candidate.same} of {candidate.layers} layers the same"
    low = [f"lowest {block} {similarity_text(worth)}" for block, worth in candidate.worst[:1]]
    return ", ".join([same, *([f"{lost} not fed"] if lost else []), *low])


def _cells(candidate: Candidate) -> tuple[str, str, str, str, str]:
    return (
        candidate.source,
        score_text(candidate.score),
        share_text(candidate.coverage),
        f"{candidate.parameters:,}",
        why(candidate),
    )
