"""`tli inject`: write an initial checkpoint for the target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.files import read_plan
from tli_cli.cli.render_progress import progress
from tli_cli.cli.render_report import render_report
from tli_cli.cli.shared import DECIDING, GATED, OF_PLANS, takes
from tli_cli.cli.text import count_text, score_text
from tli_cli.options import Options

PlanFile = Annotated[
    str | None,
    typer.Option("--plan", metavar="PLAN.json", help="Carry out this plan (- reads it from standard input)."),
]
Best = Annotated[
    bool, typer.Option("--best", help="Rank the sources, directories searched, and take the best one alone.")
]


FURTHER = ("device", "on_nonfinite", "dtype", "max_shard_size", "force", "dry_run", "verify")


@takes(*OF_PLANS, *FURTHER, *GATED)
def inject(
    options: Options,
    sources: given.Checkpoints,
    target: given.TargetOption,
    best: Best = False,
    plan: PlanFile = None,
    output: given.Output = None,
    as_json: given.Json = False,
    every: given.All = False,
) -> None:
    """Write an initial checkpoint for the target from one or more sources."""
    if output is None and not options.dry_run:
        raise typer.BadParameter("say where to write, or use --dry-run", param_hint="'--output' / '-o'")
    if plan is not None:
        _check_undecided(options)
    from tli_cli import api
    from tli_cli.checkpoints.writing.ranks import ALONE, current_ranks

    ranks = ALONE if options.dry_run else current_ranks()
    with ranks.step():
        fixed = None if plan is None else read_plan(plan)
        sources = [_best(sources, target, output, options)] if best else sources
    with progress("reading and matching") as tell:
        report = api.inject(sources, target, output, plan=fixed, options=options, progress=tell)
    if ranks.is_first:
        render_report(report, render.style(as_json=as_json), every=every)
        if options.verify and options.dry_run:
            render.warn("--verify: nothing is written with --dry-run, and so nothing was run")


def _check_undecided(options: Options) -> None:
    """Raise a usage error for options that a plan has decided already."""
    usual = Options()
    for name in DECIDING:
        if getattr(options, name) != getattr(usual, name):
            option = "--no-batchnorm" if name == "batchnorm" else f"--{name.replace('_', '-')}"
            raise typer.BadParameter("the plan has decided it: make the plan with it instead", param_hint=f"'{option}'")


def _best(sources: list[str], target: str, output: Path | None, options: Options) -> str:
    """Return the source that starts the target best, and say which it is."""
    from tli_cli import api
    from tli_cli.ranking import check_for_values

    check_for_values(sources)
    with progress("reading the sources") as tell:
        besides = [str(output)] if output else []
        ranking = api.rank(target, sources, options=options, progress=tell, besides=besides)
    winner = ranking.candidates[0]
    for line in ranking.skipped:
        render.warn(f"passed over: {line}")
    count = count_text(len(ranking.candidates), "source")
    render.note(f"best of {count}: {winner.source}, score {score_text(winner.score)}")
    return winner.source
