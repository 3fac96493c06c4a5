"""Show the names that the catalogue holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tli_cli.cli import render
from tli_cli.cli.render import Style

if TYPE_CHECKING:
    from tli_cli.catalogue import CatalogueName


def render_names(names: Sequence[CatalogueName], style: Style) -> None:
    """Print one name a line; in columns when a person looks."""
    texts = [str(name) for name in names]
    if style is Style.JSON:
        render.as_json({"architectures": texts})
    elif style is Style.PLAIN:
        render.plain((text,) for text in texts)
    else:
        from rich.columns import Columns

        render.show(Columns(texts, column_first=True, padding=(0, 2)), f"{len(texts):,} architectures")
