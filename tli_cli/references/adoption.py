"""A checkpoint's tensors in the architecture that was named for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.catalogue.loading import without
from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.dtypes import bits, is_float
from tli_cli.errors import TliError, join_problems
from tli_cli.kinship.adapters import adapters, said_of
from tli_cli.references.prefixed import prefixed

HALF = 16
"""The bits of the smallest numbers that mean something without a scale beside them."""
SHOWN = 5
"""How many names a note gives."""


@dataclass(frozen=True)
class Adopted:
    """A checkpoint under the names of the architecture that was named for it, how it was read, and the tensors that are
    no part of it."""

    architecture: Architecture
    checkpoint: Checkpoint
    said: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


def adopt(architectures: Sequence[Architecture], checkpoint: Checkpoint, text: str) -> Adopted:
    """Return `checkpoint` in the one of `architectures`, which differ in names at most, that it is named like, whatever
    stands before all of its names, with its dtypes and only what it holds.

    Raises:
        TliError: names or shapes differ.
    """
    architecture = min(architectures, key=lambda one: len(_strange(one, checkpoint)))
    aside = adapters(checkpoint.tensors, architecture.tensors, text)
    strange = _strange(architecture, checkpoint, aside)
    if not strange:
        said = (said_of(aside),) if aside else ()
        return Adopted(_held(architecture, checkpoint), checkpoint, said, aside)
    for known in architectures:
        found = prefixed(checkpoint, known.tensors)
        if found is not None:
            return Adopted(_held(known, found.checkpoint), found.checkpoint, found.said, found.aside)
    if extra := _besides(architecture, checkpoint):
        more = f" and {len(extra) - SHOWN} more" if len(extra) > SHOWN else ""
        left = f"left aside, because its architecture has no such tensors: {', '.join(extra[:SHOWN])}{more}"
        return Adopted(_held(architecture, checkpoint), checkpoint, (left,), extra)
    raise TliError(
        join_problems(
            f"{text} is no checkpoint of {architecture.origin}: expected its names and shapes, found", strange
        )
    )


def _besides(architecture: Architecture, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the tensors of `checkpoint` that `architecture` does not know, where all that this computes with is there
    in its shape; none otherwise.

    Whole numbers are counts and places, which another version of a class keeps or does not. A quantised weight is not
    there: it needs what stands beside it.
    """
    held = {spec.name: spec for spec in checkpoint.tensors}
    values = {name: spec for name, spec in held.items() if is_float(spec.dtype) and bits(spec.dtype) >= HALF}
    shared = [spec for spec in architecture.tensors if spec.name in held]
    needed = [spec for spec in architecture.tensors if is_float(spec.dtype) and not spec.tied_to]
    if not all(_fits(spec, held) for spec in shared) or not all(_fits(spec, values) for spec in needed):
        return ()
    return tuple(name for name in held if name not in architecture.by_name)


def _held(architecture: Architecture, checkpoint: Checkpoint) -> Architecture:
    """Return `architecture` with the dtypes of `checkpoint` and only what that holds."""
    held = {spec.name: spec for spec in checkpoint.tensors}
    kept = without(architecture, frozenset(architecture.by_name.keys() - held.keys()))
    return replace(kept, tensors=tuple(replace(spec, dtype=held[spec.name].dtype) for spec in kept.tensors))


def _strange(architecture: Architecture, checkpoint: Checkpoint, aside: Sequence[str] = ()) -> list[str]:
    """Return a line on each tensor of `checkpoint` that `architecture` has not, or in another shape; none on those
    `aside`."""
    wanted, known = architecture.by_name, set(aside)
    strange = [spec for spec in checkpoint.tensors if spec.name not in known and not _fits(spec, wanted)]
    return [_difference(spec, wanted.get(spec.name)) for spec in strange]


def _fits(spec: TensorSpec, wanted: Mapping[str, TensorSpec]) -> bool:
    return spec.name in wanted and wanted[spec.name].shape == spec.shape


def _difference(spec: TensorSpec, wanted: TensorSpec | None) -> str:
    expected = f"{list(wanted.shape)} expected" if wanted else "unknown there"
    return f"{spec.name} {list(spec.shape)}: {expected}"
