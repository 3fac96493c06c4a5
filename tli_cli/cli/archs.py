"""`tli archs`: the names in the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.render_architecture import render_names

Pattern = Annotated[
    str | None, typer.Argument(metavar="PATTERN", help="Part of a name, or a glob such as 'timm:resnet*'.")
]


def archs(pattern: Pattern = None, as_json: given.Json = False) -> None:
    """List the architectures that can be named without any library installed."""
    from tli_cli.catalogue import names
    from tli_cli.errors import UnknownReferenceError
    from tli_cli.registry import did_you_mean

    found = names(pattern)
    if pattern is not None and not found:
        hint = did_you_mean(pattern, (name.name for name in names())) or "`tli archs` lists all of them"
        raise UnknownReferenceError(f"no architecture matches {pattern!r}; {hint}")
    render_names(found, render.style(as_json=as_json))
