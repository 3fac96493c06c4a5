"""`tli rank`: which of many sources starts a target best."""

from __future__ import annotations

from typing import Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.render_progress import progress
from tli_cli.cli.render_rank import render_ranking
from tli_cli.cli.shared import OF_TWO, takes
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
Minimum = Annotated[float | None, given.least("--min", "The least score of the best source.")]


@takes(*OF_TWO, "matcher")
def rank(
    options: Options,
    target: Target,
    sources: Sources = None,
    from_file: given.FromFile = None,
    top: Top = None,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    minimum: Minimum = None,
) -> None:
    """Say which sources start the target best, the best first. Reads no values."""
    from tli_cli import api
    from tli_cli.references.sources import read_names

    given_style = render.style(as_json=as_json, as_csv=as_csv)
    places = read_names(from_file) if from_file else {}
    listed = [*(sources or ()), *places]
    if not listed:
        raise typer.BadParameter("name one source or more, or a file of them", param_hint="'SOURCE...'")
    with progress("reading the target") as tell:
        found = api.rank(target, listed, options=options, progress=tell, places=places)
    render_ranking(found, given_style, top)
    check_minimum(found.candidates[0].score, minimum)
