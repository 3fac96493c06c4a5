"""`tli rank`: which of many sources starts a target best."""

from __future__ import annotations

from typing import Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.choices import Matcher
from tli_cli.cli.parsers import parse_shape
from tli_cli.cli.render_progress import progress
from tli_cli.cli.render_rank import render_ranking
from tli_cli.gates import check_minimum
from tli_cli.options import Options

Sources = Annotated[
    list[str] | None,
    given.references(
        "SOURCE...",
        "Checkpoints, directories that are searched, names, or globs such as 'timm:resnet*' and 'runs/*.pt'.",
    ),
]
Target = Annotated[str, given.references("TARGET", f"The model that receives weights. {given.NAMED_BY}")]
Top = Annotated[int | None, typer.Option(min=1, help="Show this many.", rich_help_panel=given.OUTPUT)]
Minimum = Annotated[
    float | None,
    given.least("--min", "The least score of the best source."),
]


def rank(
    target: Target,
    sources: Sources = None,
    from_file: given.FromFile = None,
    top: Top = None,
    source_arch: given.SourceArch = None,
    input_shape: given.InputShape = None,
    source_input_shape: given.SourceInputShape = None,
    num_classes: given.NumClasses = None,
    in_chans: given.InChans = None,
    ema: given.Ema = None,
    matcher: given.MatcherOption = Matcher.dp,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    minimum: Minimum = None,
) -> None:
    """Say which sources start the target best, the best first. Reads no values."""
    from tli_cli import api
    from tli_cli.references.sources import read_names

    given_style = render.style(as_json=as_json, as_csv=as_csv)
    listed = [*(sources or ()), *(read_names(from_file) if from_file else ())]
    if not listed:
        raise typer.BadParameter("name one source or more, or a file of them", param_hint="'SOURCE...'")
    options = Options(
        matcher=matcher.value,
        source_arch=source_arch,
        input_shape=parse_shape(input_shape),
        source_input_shape=parse_shape(source_input_shape, "--source-input-shape"),
        num_classes=num_classes,
        in_chans=in_chans,
        ema=ema,
    )
    with progress() as tell:
        found = api.rank(target, listed, options=options, progress=tell)
    render_ranking(found, given_style, top)
    check_minimum(found.candidates[0].score, minimum)
