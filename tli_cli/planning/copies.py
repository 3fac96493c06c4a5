"""What is said of a network that one side holds several times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tli_cli.describe.spelling import apart
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching


def said_of_copies(matching: Matching) -> Iterator[str]:
    """Yield a note for each network that the target, or the source, holds again."""
    taken = {pair.target.key: pair.source.key for pair in matching.pairs}
    alike = [(u, first) for u, first in matching.copies if u.key in taken and taken[u.key] == taken.get(first.key)]
    for copy, first in _modules(alike):
        yield f"{copy} holds the layers of {first} again, and takes what that takes"
    for copy, first in _modules(matching.spared):
        yield f"the source's {copy} holds the layers of {first} again: {first} is taken"


def _modules(copies: Sequence[tuple[Unit, Unit]]) -> Sequence[tuple[str, str]]:
    """Return the modules that hold one network each, with the first that does."""
    return list(dict.fromkeys(apart(unit.path, first.path) for unit, first in copies))
