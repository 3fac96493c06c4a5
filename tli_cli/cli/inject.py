"""`tli inject`: write an initial checkpoint for the target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.choices import Matcher, Method, OnNonfinite
from tli_cli.cli.files import read_plan
from tli_cli.cli.parsers import parse_shape
from tli_cli.cli.render_progress import progress
from tli_cli.cli.render_report import render_report
from tli_cli.cli.text import count_text, score_text
from tli_cli.options import Options

PlanFile = Annotated[
    str | None,
    typer.Option("--plan", metavar="PLAN.json", help="Carry out this plan (- reads it from standard input)."),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Run both models in float64 on random input and report the difference.")
]
Best = Annotated[
    bool, typer.Option("--best", help="Rank the sources, directories searched, and take the best one alone.")
]


def inject(
    sources: given.Checkpoints,
    target: given.TargetOption,
    best: Best = False,
    plan: PlanFile = None,
    dry_run: given.DryRun = False,
    verify: Verify = False,
    source_arch: given.SourceArch = None,
    input_shape: given.InputShape = None,
    source_input_shape: given.SourceInputShape = None,
    num_classes: given.NumClasses = None,
    in_chans: given.InChans = None,
    ema: given.Ema = None,
    source_tokenizer: given.SourceTokenizer = None,
    target_tokenizer: given.TargetTokenizer = None,
    source_labels: given.SourceLabels = None,
    target_labels: given.TargetLabels = None,
    matcher: given.MatcherOption = Matcher.dp,
    method: given.MethodOption = Method.auto,
    head: given.Head = "auto",
    seed: given.Seed = 0,
    top_k: given.TopK = 1,
    skip: given.Skip = [],  # noqa: B006
    no_batchnorm: given.NoBatchnorm = False,
    device: given.Device = "cpu",
    on_nonfinite: given.OnNonfiniteOption = OnNonfinite.error,
    output: given.Output = None,
    dtype: given.DtypeOption = None,
    max_shard_size: given.MaxShardSize = None,
    force: given.Force = False,
    as_json: given.Json = False,
    every: given.All = False,
    strict: given.Strict = False,
    min_score: given.MinScore = None,
    min_coverage: given.MinCoverage = None,
) -> None:
    """Write an initial checkpoint for the target from one or more sources."""
    if output is None and not dry_run:
        raise typer.BadParameter("say where to write, or use --dry-run", param_hint="'--output' / '-o'")
    decided: dict[str, Any] = {
        "matcher": matcher.value,
        "method": method.value,
        "head": head,
        "seed": seed,
        "top_k": top_k,
        "skip": tuple(skip),
        "batchnorm": not no_batchnorm,
    }
    if plan is not None:
        _check_undecided(decided)
    from tli_cli import api
    from tli_cli.checkpoints.writing.ranks import ALONE, current_ranks

    options = Options(
        **decided,
        dtype=dtype,
        device=device,
        max_shard_size=max_shard_size,
        force=force,
        dry_run=dry_run,
        verify=verify,
        strict=strict,
        min_score=min_score,
        min_coverage=min_coverage,
        on_nonfinite=on_nonfinite.value,
        source_arch=source_arch,
        input_shape=parse_shape(input_shape),
        source_input_shape=parse_shape(source_input_shape, "--source-input-shape"),
        num_classes=num_classes,
        in_chans=in_chans,
        ema=ema,
        source_tokenizer=source_tokenizer,
        target_tokenizer=target_tokenizer,
        source_labels=source_labels,
        target_labels=target_labels,
    )
    ranks = ALONE if dry_run else current_ranks()
    with ranks.step():
        fixed = None if plan is None else read_plan(plan)
        sources = [_best(sources, target, output, options)] if best else sources
    with progress() as tell:
        report = api.inject(sources, target, output, plan=fixed, options=options, progress=tell)
    if ranks.is_first:
        render_report(report, render.style(as_json=as_json), every=every)
        if verify and dry_run:
            render.warn("--verify: nothing is written with --dry-run, and so nothing was run")


def _check_undecided(options: Mapping[str, object]) -> None:
    """Raise a usage error for options that a plan has decided already."""
    usual = Options()
    for name, value in options.items():
        if value != getattr(usual, name):
            option = "--no-batchnorm" if name == "batchnorm" else f"--{name.replace('_', '-')}"
            raise typer.BadParameter("the plan has decided it: make the plan with it instead", param_hint=f"'{option}'")


def _best(sources: list[str], target: str, output: Path | None, options: Options) -> str:
    """Return the source that starts the target best, and say which it is."""
    from tli_cli import api
    from tli_cli.ranking import check_for_values

    check_for_values(sources)
    with progress() as tell:
        besides = [str(output)] if output else []
        ranking = api.rank(target, sources, options=options, progress=tell, besides=besides)
    winner = ranking.candidates[0]
    for line in ranking.skipped:
        render.warn(f"passed over: {line}")
    count = count_text(len(ranking.candidates), "source")
    render.note(f"best of {count}: {winner.source}, score {score_text(winner.score)}")
    return winner.source
