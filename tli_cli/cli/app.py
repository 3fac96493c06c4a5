"""The application: its commands, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from tli_cli.cli.archs import archs
from tli_cli.cli.inject import inject
from tli_cli.cli.inspect import inspect
from tli_cli.cli.match import match
from tli_cli.cli.plain_values import PlainCommand, PlainGroup
from tli_cli.cli.rank import rank
from tli_cli.cli.score import score
from tli_cli.cli.verify import verify
from tli_cli.cli.version import version

COMMANDS = (match, inject, score, rank, inspect, archs, verify, version)

app = typer.Typer(
    name="tli",
    cls=PlainGroup,
    help="Initialise any network from any checkpoint: match layers, reshape tensors, write an initial checkpoint.\n\n"
    "A model is named by a checkpoint (a file, a directory or an index), by a name such as resnet50, timm:resnet50 or "
    "hf:DIR, or by your own class, path/to/net.py:Net. To begin with: tli score resnet18 resnet34",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command(cls=PlainCommand)(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def common(
    versions: Annotated[
        bool,
        typer.Option("--version", help="Show versions, as `tli version` does.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Take what stands before a command."""
