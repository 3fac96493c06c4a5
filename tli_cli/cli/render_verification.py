"""Show what a result holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.cli import render
from tli_cli.cli.render import Style

if TYPE_CHECKING:
    from tli_cli.injection.verification import Verification


def render_verification(found: Verification, style: Style) -> None:
    """Print how many tensors were read, whether they fit, and the file's provenance."""
    provenance = {key.removeprefix("tli."): value for key, value in found.provenance}
    if style is Style.JSON:
        render.as_json(
            {
                "path": str(found.path),
                "target": found.target,
                "tensors": found.tensors,
                "fits": not found.problems,
                "problems": list(found.problems),
                "provenance": provenance,
            }
        )
        return
    facts = {"fits": "no" if found.problems else "yes", "tensors": str(found.tensors), **provenance}
    if style is Style.PLAIN:
        render.plain(facts.items())
        return
    render.show(render.facts_table(facts.items()))
