"""What runs between the tensors of a file, which does not say so: what the other side tells is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.references.reference import Reference


def with_assumptions(references: Sequence[Reference], own: Sequence[bool]) -> tuple[Reference, ...]:
    """Return `references`, of which the last is the target, with a doubt on each that is taken to compute as the other
    side does and is not described as that; `own` tells of each whether its own code is known."""
    *sources, target = references
    *theirs, its = own
    doubted = [s if known else _taken_as(s, target, "--source-arch") for s, known in zip(sources, theirs, strict=True)]
    told = next((source for source, known in zip(sources, theirs, strict=True) if known), None)
    return (*doubted, target if its or told is None else _taken_as(target, told, "its architecture's name"))


def _taken_as(reference: Reference, other: Reference, remedy: str) -> Reference:
    known = reference.architecture.graph and reference.architecture.order_from == "recognised"
    if known or reference.text == other.text:  # names say whose code runs it; the order of its sizes does not
        return reference
    doubt = (
        f"{reference.text}: nothing says what runs between its tensors (activations, heads of attention, numbers of "
        f"code); taken to be as in {other.text}; {remedy} can tell"
    )
    return replace(reference, doubts=(*reference.doubts, doubt))
