"""`tli score`: how similar two models are."""

from __future__ import annotations

from typing import Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.choices import Matcher
from tli_cli.cli.parsers import parse_shape
from tli_cli.cli.render_score import render_score
from tli_cli.gates import check_minimum
from tli_cli.options import Options

Minimum = Annotated[
    float | None,
    typer.Option("--min", min=0, max=1, help="The least score from SOURCE to TARGET.", rich_help_panel=given.GATES),
]


def score(
    source: given.Source,
    target: given.Target,
    source_arch: given.SourceArch = None,
    input_shape: given.InputShape = None,
    num_classes: given.NumClasses = None,
    in_chans: given.InChans = None,
    ema: given.Ema = None,
    matcher: given.MatcherOption = Matcher.dp,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    minimum: Minimum = None,
) -> None:
    """Say how much of each of two models can be fed from the other.

    From 0 to 1; 1 means that every layer has an identical partner in its place. Reads no values.
    """
    from tli_cli import api

    options = Options(
        matcher=matcher.value,
        source_arch=source_arch,
        input_shape=parse_shape(input_shape),
        num_classes=num_classes,
        in_chans=in_chans,
        ema=ema,
    )
    result = api.score(source, target, options=options)
    render_score(result, render.style(as_json=as_json, as_csv=as_csv))
    check_minimum(result.forward, minimum)
