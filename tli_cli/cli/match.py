"""`tli match`: how the target's layers would be fed."""

from __future__ import annotations

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.choices import Matcher, Method
from tli_cli.cli.files import write_new
from tli_cli.cli.parsers import parse_shape
from tli_cli.cli.render_plan import render_plan
from tli_cli.gates import check_gates
from tli_cli.options import Options


def match(
    sources: given.Sources,
    target: given.Target,
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
    output: given.PlanOutput = None,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    every: given.All = False,
    force: given.Force = False,
    strict: given.Strict = False,
    min_score: given.MinScore = None,
    min_coverage: given.MinCoverage = None,
) -> None:
    """Show which source layer would feed each target layer, and how.

    Reads no values and writes no weights.
    """
    from tli_cli import api

    options = Options(
        matcher=matcher.value,
        method=method.value,
        head=head,
        seed=seed,
        top_k=top_k,
        skip=tuple(skip),
        batchnorm=not no_batchnorm,
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
    given_style = render.style(as_json=as_json, as_csv=as_csv)
    plan = api.match(sources, target, options=options)
    if output is not None:
        write_new(output, plan.to_json(), force=force)
    render_plan(plan, given_style, every=every)
    check_gates(plan, strict=strict, min_score=min_score, min_coverage=min_coverage)
