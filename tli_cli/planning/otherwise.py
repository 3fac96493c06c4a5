"""Tensors that arrive as they are and still do not compute what they do in the source."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.plan import Step
from tli_cli.planning.drafting import LOST_BIAS
from tli_cli.planning.spaces.turning import UNCUT, UNTOLD

ALIKE = ("same", "adapted")
"""The relations of models that a user takes for one network, some sizes apart."""


def copied_otherwise(relation: str, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what the user should know of copies that keep no function, where all else looks as if one were kept; of
    channels that turn in pairs it is said elsewhere."""
    told = (UNCUT, UNTOLD, LOST_BIAS)
    found = [s for s in steps if s.resizer == "copy" and not s.exact and s.reason and s.reason not in told]
    if relation not in ALIKE or not found:
        return ()
    count = (
        "1 tensor is copied as it is and does"
        if len(found) == 1
        else f"{len(found)} tensors are copied as they are and do"
    )
    return (f"{count} not certainly compute what the source does, such as {found[0].target}: {found[0].reason}",)
