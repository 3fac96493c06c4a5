"""Sources that store what weights are worked out from, for targets that have the weights themselves, or call what makes
them otherwise; sources with sums of branches, for targets with the one layer that each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from tli_cli.architecture import Architecture, Layer
from tli_cli.branches.merging import apart, merged
from tli_cli.catalogue.loading import without
from tli_cli.checkpoints.checkpoint import Checkpoint, holding
from tli_cli.checkpoints.layouts.worked_out import Origin, origins, with_made, worked_out
from tli_cli.describe.renaming import renamed
from tli_cli.references.bare import BARE, describe_bare
from tli_cli.references.values import Reference

SUMS = "its {} sums of linear branches over one input are taken as the one layer that each is in evaluation mode"


def as_used(source: Reference, target: Reference) -> Reference:
    """Return `source` with its pruned and its spectrally normalised weights as they are used, where `target` has none
    of the kind; called as the target calls them, where that follows another version of torch."""
    if source.checkpoint is None:
        return source
    made = origins(source.architecture.tensors)
    theirs = origins(target.architecture.tensors) if made else {}
    if not made or any(origin.mask for origin in theirs.values()):
        return source
    if theirs:
        return _respelled(source, made, recent=next(iter(theirs.values())).is_recent)
    kinds = {"pruned" if origin.mask else "spectrally normalised" for origin in made.values()}
    said = f"{source.text}: its {len(made)} {' and '.join(sorted(kinds))} weights are taken as they are used"
    told = replace(source, notes=(*source.notes, said))
    return _over(told, worked_out(source.checkpoint, made), _plain(source.architecture, made))


def with_sums(source: Reference, target: Reference) -> Reference:
    """Return `source` with sums of linear branches as the layers that they are, where `target` has such layers."""
    sums, _ = apart(source.architecture, target.architecture)
    if not sums:
        return source
    architecture = merged(source.architecture, sums)
    made = {name: partial(sum.worked_out, role) for sum in sums for role, name in sum.layer.tensors}
    notes = (*source.notes, f"{source.text}: {SUMS.format(len(sums))}")
    told = replace(source, notes=notes, made=made, branched=source.architecture)
    if source.checkpoint is None:
        return replace(told, architecture=architecture)
    parts = {name for sum in sums for name in sum.names}
    tensors = [s for s in source.checkpoint.tensors if s.name not in parts]
    tensors += [s for s in architecture.tensors if s.name in made]
    return replace(told, architecture=architecture, checkpoint=with_made(source.checkpoint, tensors, made))


def _respelled(source: Reference, made: Mapping[str, Origin], *, recent: bool) -> Reference:
    names = {
        old: new
        for plain, origin in made.items()
        if not origin.mask and origin.is_recent != recent
        for old, new in origin.respelled(plain).items()
    }
    if not names or source.checkpoint is None:
        return source
    held = {names.get(spec.name, spec.name): spec.name for spec in source.checkpoint.tensors}
    layers = tuple(_with_roles(layer, names) for layer in source.architecture.layers)
    architecture = renamed(replace(source.architecture, layers=layers), names)
    return _over(source, holding(source.checkpoint, held), architecture)


def _with_roles(layer: Layer, names: Mapping[str, str]) -> Layer:
    """Return `layer` with the roles that what makes its weight has by its new `names`."""
    tensors = tuple(
        (f"{role.partition('.')[0]}.{names[name].rpartition('.')[2]}" if name in names else role, name)
        for role, name in layer.tensors
    )
    return replace(layer, tensors=tensors)


def _over(source: Reference, checkpoint: Checkpoint, architecture: Architecture) -> Reference:
    """Return `source` with another checkpoint, and `architecture` if its own was not told by names alone."""
    if source.architecture.order_from in BARE:
        bare = replace(source, checkpoint=checkpoint, doubts=(), recognised=None)
        return describe_bare(bare, checkpoint.tensors)
    return replace(source, checkpoint=checkpoint, architecture=architecture)


def _plain(architecture: Architecture, made: Mapping[str, Origin]) -> Architecture:
    """Return `architecture` with each weight in place of what it is `made` from."""
    parts = frozenset(name for origin in made.values() for name in origin.names if name != origin.values)
    plain = {origin.values: name for name, origin in made.items()}
    kept = without(architecture, parts)
    kept = replace(kept, layers=tuple(_with_weights(layer, plain) for layer in kept.layers))
    return renamed(kept, plain)


def _with_weights(layer: Layer, plain: Mapping[str, str]) -> Layer:
    """Return `layer` with the role of the weight for what makes it, not normalised any more."""
    if not any(name in plain for _, name in layer.tensors):
        return layer
    tensors = tuple((role.partition(".")[0] if name in plain else role, name) for role, name in layer.tensors)
    attributes = tuple(pair for pair in layer.attributes if pair[0] != "standardised")
    path = layer.path.partition(".parametrizations")[0]
    return replace(layer, path=path, tensors=tensors, attributes=attributes)
