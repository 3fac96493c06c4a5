"""`tli inspect`: what `tli` sees in a model."""

from __future__ import annotations

from typing import Annotated

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.render_architecture import render_architecture
from tli_cli.cli.render_progress import progress
from tli_cli.cli.shared import OF_ONE, takes
from tli_cli.options import Options

Reference = Annotated[str, given.references("REFERENCE", f"The model. {given.NAMED_BY}")]


@takes(*OF_ONE)
def inspect(
    options: Options,
    reference: Reference,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    every: given.All = False,
) -> None:
    """Show a model's layers, kinds, blocks, order and size.

    Reads no values.
    """
    from tli_cli import api

    with progress("reading"):
        found = api.read(reference, options=options)
    render_architecture(found.architecture, render.style(as_json=as_json, as_csv=as_csv), every=every)
    for text in found.remarks:
        render.note(f"note: {text}")
