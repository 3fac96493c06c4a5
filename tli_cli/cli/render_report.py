"""Show what an injection did, and what its result holds when it is read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.cli import render
from tli_cli.cli.render import Style
from tli_cli.cli.render_plan import leftovers, pairing_table, styled
from tli_cli.cli.rows import block_rows, how, tensor_rows
from tli_cli.cli.text import count_text, score_text, share_text, size_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from tli_cli.injection.verification import Verification
    from tli_cli.plan import Plan
    from tli_cli.report import Report

SIZES = ("holds", "largest")


def render_report(report: Report, style: Style, *, every: bool = False) -> None:
    """Print what was injected, adapted, initialised and left, and the files."""
    if style is Style.JSON:
        render.as_json(report_value(report))
    elif style is Style.PLAIN:
        render.plain(_facts(report))
    else:
        render.show(*report_parts(report, every=every))
    for text in report.plan.notes:
        render.note(f"note: {text}")
    for text in report.warnings:
        render.warn(text)


def report_parts(report: Report, *, every: bool = False) -> Iterator[RenderableType]:
    """Yield the summary for a person."""
    from rich.text import Text

    plan = report.plan
    yield pairing_table(tensor_rows(plan)) if every else block_table(plan)
    yield Text()
    yield from leftovers(plan, every=every)
    yield render.facts_table(_facts(report))


def block_table(plan: Plan) -> Table:
    """Return the table with one row for each target block; no sizes where names would be broken for them."""
    rows = [[cells[i] for i in (0, 1, 3, 2, 4, 5)] for cells in map(styled, block_rows(plan))]
    return render.pairs_table(("block", *SIZES, "from", "how", "sim"), rows, SIZES)


def report_value(report: Report) -> dict[str, Any]:
    """Return the JSON value of a report, without its version."""
    plan = report.plan
    return {
        "sources": [side.origin for side in plan.sources],
        "target": plan.target.origin,
        "method": plan.method,
        "matcher": plan.matcher,
        "relation": plan.relation,
        "seed": plan.seed,
        "score": plan.score,
        "coverage": report.coverage,
        "exact": report.exact,
        "adapted": report.adapted,
        "initialised": report.initialised,
        "unused": list(plan.unused),
        "verification": report.verification,
        "files": [str(path) for path in report.files],
        "warnings": [*plan.notes, *report.warnings],
        "tensors": [
            {
                "name": step.target,
                "shape": list(step.shape),
                "sources": [piece.source for piece in step.pieces],
                "how": how(plan, step),
                "similarity": step.similarity,
                "preserving": step.exact,
                "reason": step.reason,
            }
            for step in plan.steps
        ],
    }


def _facts(report: Report) -> Iterator[tuple[str, object]]:
    yield "source", ", ".join(side.origin for side in report.plan.sources)
    yield "target", report.plan.target.origin
    yield "score", score_text(report.plan.score)
    yield "placed_exactly", report.exact
    yield "adapted", report.adapted
    yield "initialised", report.initialised
    yield "unused", report.unused
    yield "coverage", share_text(report.coverage)
    if report.verification is not None:
        yield "outputs_differ_by", f"{report.verification:.3g}"
    yield "written", _written(report)


def _written(report: Report) -> str:
    """Return what was written: a file with its size, or of several the first one and how many more."""
    if not report.files:
        return f"nothing (dry run); {count_text(len(report.plan.steps), 'tensor')} planned"
    first, *more = report.files
    size = size_text(sum(path.stat().st_size for path in report.files))
    return f"{_short(first)} and {count_text(len(more), 'more file')} ({size})" if more else f"{_short(first)} ({size})"


def _short(path: Path) -> Path:
    """Return `path` from the working directory where it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def render_verification(found: Verification, style: Style) -> None:
    """Print how many tensors were read, whether they fit, and the file's provenance."""
    provenance = {key.removeprefix("tli."): value for key, value in found.provenance}
    if style is Style.JSON:
        render.as_json(
            {
                "path": str(found.path),
                "target": found.target,
                "tensors": found.tensors,
                "fits": not found.problems,
                "problems": list(found.problems),
                "provenance": provenance,
            }
        )
        return
    facts = {"fits": "no" if found.problems else "yes", "tensors": str(found.tensors), **provenance}
    if style is Style.PLAIN:
        render.plain(facts.items())
        return
    render.show(render.facts_table(facts.items()))
