"""Show how similar two models are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tli_cli.cli import render
from tli_cli.cli.render import Style
from tli_cli.cli.text import score_text, share_text, similarity_text
from tli_cli.scoring.outlook import outlook

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tli_cli.scoring.score import Score

HEADER = ("source", "target", "score", "coverage")


def render_score(score: Score, style: Style) -> None:
    """Print both directions, their mean, coverage and the worst blocks."""
    if style is Style.JSON:
        render.as_json(score_value(score))
    elif style is Style.CSV:
        render.as_csv(HEADER, _numbers(score))
    elif style is Style.PLAIN:
        render.plain((*_directions(score), ("mean", "", score_text(score.mean), "")))
    else:
        render.show(*score_parts(score))


def score_parts(score: Score) -> Iterator[RenderableType]:
    """Yield the table of both directions and the list of the worst blocks."""
    from rich.text import Text

    table = render.plain_table("from", "to")
    for number in ("TLI score", "coverage"):
        table.add_column(number, justify="right", no_wrap=True)
    table.add_column("as a start", overflow="fold")
    bands = outlook(score.forward), outlook(score.backward)
    for (source, target, value, coverage), band in zip(_directions(score), bands, strict=True):
        table.add_row(source, target, Text(value, style="bold"), coverage, band)
    table.add_row("mean", "", Text(score_text(score.mean), style="bold green"), "", "")
    yield table
    low = [(block, similarity) for block, similarity in score.worst if similarity < 1]
    if low:
        yield Text("what holds it down", style="dim")
    for block, similarity in low:
        yield Text(f"  {similarity_text(similarity)}  {block}")


def score_value(score: Score) -> dict[str, Any]:
    """Return the JSON value of a score, without its version."""
    return {
        "source": score.source,
        "target": score.target,
        "forward": score.forward,
        "backward": score.backward,
        "mean": score.mean,
        "outlook": outlook(score.forward),
        "coverage_forward": score.coverage_forward,
        "coverage_backward": score.coverage_backward,
        "worst": [{"block": block, "similarity": similarity} for block, similarity in score.worst],
    }


def _numbers(score: Score) -> tuple[tuple[str, str, float, float], ...]:
    return (
        (score.source, score.target, score.forward, score.coverage_forward),
        (score.target, score.source, score.backward, score.coverage_backward),
    )


def _directions(score: Score) -> list[tuple[str, str, str, str]]:
    return [(s, t, score_text(value), share_text(covered)) for s, t, value, covered in _numbers(score)]
