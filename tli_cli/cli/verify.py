"""`tli verify`: read a result back and hold it against its target."""

from __future__ import annotations

from typing import Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.render_progress import progress
from tli_cli.cli.render_report import render_verification
from tli_cli.cli.shared import OF_ONE, takes
from tli_cli.errors import TliError, join_problems
from tli_cli.options import Options

Result = Annotated[str, typer.Argument(metavar="FILE", help="The checkpoint to read back, as tli inject wrote it.")]


@takes(*OF_ONE)
def verify(options: Options, file: Result, target: given.TargetOption, as_json: given.Json = False) -> None:
    """Read a result back: names, shapes, dtypes, finite values and provenance."""
    from tli_cli import api

    with progress("reading") as tell:
        found = api.verify(file, target, options=options, progress=tell)
    render_verification(found, render.style(as_json=as_json))
    if found.problems:
        raise TliError(join_problems(f"{file} is not what {target} takes:", found.problems))
