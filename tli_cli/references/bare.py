"""The architecture of a checkpoint without another's name: by what it is recognised as, or by its names and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.decoding import shown
from tli_cli.references.values import Reference

BARE = ("file", "inferred", "definition", "recognised")
"""Where the order of layers comes from where nothing but the file was named."""
NEAR = 0.6
"""The share of names and shapes that an entry of the catalogue must have in common with a file to be named for it."""


def describe_bare(reference: Reference, tensors: Sequence[TensorSpec]) -> Reference:
    """Return a bare checkpoint with the architecture of `tensors` of it, and what is not certain of that."""
    from tli_cli import catalogue
    from tli_cli.describe.from_names.names import describe_names
    from tli_cli.references.configured import as_catalogued

    text, checkpoint = reference.text, reference.checkpoint
    if checkpoint is None:
        return reference
    origin = f"checkpoint {shown(Path(text).name)}"
    if (named := as_catalogued(checkpoint)) is not None:
        return replace(reference, architecture=replace(named, origin=f"{origin} ({named.origin})"))
    found = catalogue.recognise(tensors)
    if found is not None:
        known = replace(found.architecture, order_from="recognised", origin=f"{origin} ({found})")
        return replace(reference, architecture=known, recognised=found)
    described = describe_names(tensors, order_from=checkpoint.order_from, origin=origin, config=checkpoint.config)
    doubts = []
    near = catalogue.nearest(tensors)
    if near is not None and near.overlap >= NEAR:
        doubts.append(f"{text}: not in the catalogue; {near}")
    doubts += [*order_lost(text, described), *guesses_of(text, described)]
    return replace(reference, architecture=described, doubts=tuple(doubts))


def order_lost(text: str, architecture: Architecture) -> tuple[str, ...]:
    """Return a line on the order of a bare checkpoint's layers, if that is lost."""
    if architecture.order_from != "inferred":
        return ()
    return (f"{text}: the order of its layers is not in the file and was inferred; --source-arch can name it",)


def guesses_of(text: str, architecture: Architecture) -> tuple[str, ...]:
    """Return a line on what had to be guessed of a bare checkpoint, if anything had."""
    if not architecture.guessed:
        return ()
    return (f"{text}: how its heads or groups are cut is not in the file and was guessed; --source-arch can tell",)
