"""A file that several names of the catalogue fit, as the one that the other side tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture
from tli_cli.matching.units import main_tensor
from tli_cli.planning.numbers import were_run
from tli_cli.references.bare import guesses_of
from tli_cli.references.values import Reference

if TYPE_CHECKING:
    from tli_cli.catalogue import Recognition

LIKE = 0.5
"""The share of sizes that two networks have in common of which one tells what the code of the other is."""


def with_likest(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return `references`, the files among them that are recognised as several networks, which differ in code alone, as
    that one whose numbers are nearest to those of another reference, if that is like them; else as the plainest."""
    known = next((r for r in references if not is_open(r) and were_run(r.architecture)), None)
    if known is None:
        return tuple(references)
    return tuple(_likest(r, known.architecture) if is_open(r) else r for r in references)


def as_its_class(source: Reference, target: Reference) -> Reference:
    """Return a file of which the catalogue knows a part alone, such as a backbone, as one of the target's class, where
    that tells what runs between all that stands beside it."""
    found, checkpoint = source.recognised, source.checkpoint
    if found is None or not found.extra or checkpoint is None:
        return source
    from tli_cli.describe.from_names.names import describe_names
    from tli_cli.kinship import as_kin

    tensors, origin = source.architecture.tensors, source.architecture.origin.removesuffix(f" ({found})")
    bare = describe_names(tensors, order_from=checkpoint.order_from, origin=origin, config=checkpoint.config)
    kin = as_kin(bare, target.architecture)
    run = {node.layer for node in kin.graph if node.layer >= 0} if kin else set()
    if kin is None or not set(found.extra) <= {name for i in run for _, name in kin.layers[i].tensors}:
        return source
    return replace(source, architecture=kin, recognised=None, doubts=guesses_of(source.text, kin))


def is_open(reference: Reference) -> bool:
    """Tell whether several networks of the catalogue have the names and shapes of a file, or one for another image."""
    found = reference.recognised
    return found is not None and bool(found.alike or found.resized)


def _likest(reference: Reference, other: Architecture) -> Reference:
    found = reference.recognised
    if found is None:
        return reference
    if found.resized and (same := _of_its_image(reference.architecture, other, found)) is not None:
        return replace(reference, architecture=same)
    nearest, apart = reference, _apart(reference.architecture, other)
    tensors = reference.architecture.tensors
    for reading in found.readings(tensors) if apart else ():
        further = _apart(reading.architecture, other)
        if further < apart:
            origin = reference.architecture.origin.replace(f"({found})", f"({reading})")
            nearest = replace(reference, architecture=replace(reading.architecture, origin=origin), recognised=reading)
            apart = further
    if nearest is reference or (apart and not _are_alike(reference.architecture, other)):
        return reference
    told = f"{reference.text}: its tensors are those of {found} too; read as the other side is; --source-arch can tell"
    return replace(nearest, doubts=(*nearest.doubts, told))


def _of_its_image(architecture: Architecture, other: Architecture, found: Recognition) -> Architecture | None:
    """Return `architecture` with the numbers of `other`, if that is for the same image: shifts of windows follow it."""
    names = {layer.tensors[0][1]: layer.tensors[0][1].removeprefix(found.prefix) for layer in architecture.layers}
    told = (other.by_name.get(name.removeprefix(found.prefix)) for name in found.resized)
    if [spec and spec.shape for spec in told] != [architecture.by_name[name].shape for name in found.resized]:
        return None
    numbers = {layer.tensors[0][1]: layer.numbers for layer in other.layers}
    layers = (
        replace(layer, numbers=numbers.get(names[layer.tensors[0][1]], layer.numbers)) for layer in architecture.layers
    )
    return replace(architecture, layers=tuple(layers))


def _apart(first: Architecture, second: Architecture) -> int:
    mine, theirs = (Counter(number for layer in one.layers for number in layer.numbers) for one in (first, second))
    return ((mine - theirs) + (theirs - mine)).total()


def _are_alike(first: Architecture, second: Architecture) -> bool:
    mine, theirs = map(_sizes, (first, second))
    return (mine & theirs).total() >= LIKE * (mine | theirs).total()


def _sizes(architecture: Architecture) -> Counter[Hashable]:
    return Counter(
        tuple(sorted(architecture.by_name[name].shape))
        for name in map(main_tensor, architecture.layers)
        if name is not None
    )
