"""The part of a checkpoint that is named like a model, but for what stands before all of its names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, holding
from tli_cli.checkpoints.in_files import InFiles, Part
from tli_cli.checkpoints.layouts.joined import put_together
from tli_cli.describe.spelling import prefix_change
from tli_cli.kinship.copies import copies

MOST = 0.5
"""The share of a checkpoint's tensors, or of the model's, that must stand under one prefix."""


@dataclass(frozen=True)
class Prefixed:
    """A checkpoint under a model's names, how it was read, and the tensors that are no part of it."""

    checkpoint: Checkpoint
    said: tuple[str, ...]
    aside: tuple[str, ...]


def prefixed(checkpoint: Checkpoint, wanted: Sequence[TensorSpec]) -> Prefixed | None:
    """Return what of `checkpoint` has the names and shapes of `wanted` below another prefix; None if nothing much has.

    Of a network that stands in it twice, one copy is looked at.
    """
    twice = None if copies(wanted) is not None else copies(checkpoint.tensors)
    once = checkpoint.tensors if twice is None else twice.kept
    taken, put = prefix_change([spec.name for spec in once], [spec.name for spec in wanted])
    inside = [spec for spec in once if spec.name.startswith(taken)]
    shapes = {spec.name: spec.shape for spec in wanted}
    names = {spec.name: put + spec.name.removeprefix(taken) for spec in inside}
    known = sum(name.startswith(put) for name in shapes)
    fits = all(shapes.get(names[spec.name]) == spec.shape for spec in inside)
    if taken == put or not fits or len(inside) < MOST * min(len(checkpoint.tensors), known):
        return None
    kept = {spec.name for spec in inside}
    aside = tuple(spec.name for spec in checkpoint.tensors if spec.name not in kept)
    said = [str(twice)] if twice is not None else []
    said += [f"its module {taken.rstrip('.')!r} is what has these names"] if taken else []
    said += [f"it has the names of the module {put.rstrip('.')!r}"] if put else []
    return Prefixed(_read(checkpoint, taken, put), tuple(said), aside)


def _read(checkpoint: Checkpoint, taken: str, put: str) -> Checkpoint:
    if taken:
        return holding(checkpoint, {n.removeprefix(taken): n for n in checkpoint.stored_names if n.startswith(taken)})
    layouts = {put + spec.name: _whole(checkpoint.stored_names[spec.name], spec) for spec in checkpoint.tensors}
    return put_together(checkpoint, layouts, layouts)


def _whole(stored: str, spec: TensorSpec) -> InFiles:
    return InFiles(spec.shape, (Part.whole(stored, spec.shape),))
