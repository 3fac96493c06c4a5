"""Sources of which the file stores what weights are worked out from, for targets that have the weights themselves, or
call what makes them otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tli_cli.architecture import Architecture, Layer
from tli_cli.catalogue.loading import without
from tli_cli.checkpoints import Checkpoint
from tli_cli.checkpoints.layouts.apart import holding
from tli_cli.checkpoints.layouts.worked_out import Origin, origins, worked_out
from tli_cli.describe.renaming import renamed
from tli_cli.references.reference import BARE, Reference, describe_bare


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
