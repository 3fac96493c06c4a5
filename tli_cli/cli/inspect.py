"""`tli inspect`: what `tli` sees in a model."""

from __future__ import annotations

from typing import Annotated

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.parsers import parse_shape
from tli_cli.cli.render_architecture import render_architecture
from tli_cli.options import Options

Reference = Annotated[str, given.references("REFERENCE", f"The model. {given.NAMED_BY}")]


def inspect(
    reference: Reference,
    input_shape: given.InputShape = None,
    num_classes: given.NumClasses = None,
    in_chans: given.InChans = None,
    ema: given.Ema = None,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    every: given.All = False,
) -> None:
    """Show a model's layers, kinds, blocks, order and size.

    Reads no values.
    """
    from tli_cli import api

    options = Options(input_shape=parse_shape(input_shape), num_classes=num_classes, in_chans=in_chans, ema=ema)
    found = api.read(reference, options=options)
    render_architecture(found.architecture, render.style(as_json=as_json, as_csv=as_csv), every=every)
    for text in found.remarks:
        render.note(f"note: {text}")
