"""What a plan says beside its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tli_cli.architecture import LINEAR, Architecture
from tli_cli.describe.spelling import apart
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching
from tli_cli.plan import Step
from tli_cli.planning.drafts import Drafts
from tli_cli.planning.spaces.turning import turned_by_guess
from tli_cli.planning.taken_ahead import said_of_time


def notes_of(drafts: Drafts, steps: Sequence[Step], matchings: Sequence[Matching]) -> tuple[str, ...]:
    """Return the notes of a plan with `steps`, made of `drafts` by `matchings`."""
    return (
        *drafts.notes,
        *_unmixed(drafts, steps),
        *drafts.book.rows.notes,
        *turned_by_guess(steps),
        *said_of_time(drafts.book.maps, drafts.sources),
        *filter(None, map(_said_of_unplaced, drafts.sources)),
        *(note for matching in matchings for note in _said_of_copies(matching)),
    )


def _unmixed(drafts: Drafts, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what is said where several sources are to be mixed, and none of their tensors may be."""
    mixed = any(len({piece.model for piece in step.pieces}) > 1 for step in steps)
    if drafts.request.top_k == 1 or len(drafts.sources) == 1 or mixed:
        return ()
    return ("nothing is mixed: only layers of one shape and place are, of sources that were tuned from one ancestor",)


def _said_of_unplaced(source: Architecture) -> str:
    """Return what is said of a file that holds more than the network it is taken for; empty if it does not."""
    more = [layer for i, layer in enumerate(source.layers) if i not in source.run and layer.kind in LINEAR]
    if source.was_run or not source.graph or not more:
        return ""
    some = f"each of {len(more)} layers, such as {more[0].path}," if len(more) > 1 else f"the layer {more[0].path}"
    return (
        f"nothing says where {some} of the source is run: between layers that are taken, these compute something else"
    )


def _said_of_copies(matching: Matching) -> Iterator[str]:
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
