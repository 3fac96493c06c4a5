"""Read a result back and hold it against the target that it was made for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.dtypes import is_float
from tli_cli.injection.stored_values import holds_finite
from tli_cli.references import Reference
from tli_cli.report import Progress


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read: the file, how many tensors it holds, its provenance, and every problem found."""

    path: Path
    target: str
    tensors: int
    provenance: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


def read_back(out: Path, target: Reference, progress: Progress | None = None) -> Verification:
    """Return whether `out` fits `target`: the same names and shapes, floating where it is, and only finite values.

    Raises:
        CheckpointError: it cannot be read.
    """
    from tli_cli.checkpoints import open_checkpoint

    wanted = target.architecture
    with open_checkpoint(out, expected=wanted.by_name) as found:
        problems = list(_differences(found.tensors, wanted))
        if not any(key.startswith("tli.") for key in found.metadata):
            problems.append("no provenance: tli did not write this file")
        for done, spec in enumerate(found.tensors, 1):
            if not holds_finite(found, spec):
                problems.append(f"{spec.name}: holds NaN or infinite values")
            if progress is not None:
                progress(done, len(found.tensors), spec.name)
        notes = tuple(sorted((k, v) for k, v in found.metadata.items() if k.startswith("tli.")))
        return Verification(found.path, target.text, len(found.tensors), notes, tuple(problems))


def _differences(found: tuple[TensorSpec, ...], wanted: Architecture) -> Iterator[str]:
    held = {spec.name: spec for spec in found}
    for spec in wanted.tensors:
        other = held.get(spec.name)
        if other is None:
            yield f"{spec.name}: missing"
        elif other.shape != spec.shape:
            yield f"{spec.name}: expected shape {list(spec.shape)}, found {list(other.shape)}"
        elif is_float(other.dtype) != is_float(spec.dtype) or (other.dtype != spec.dtype and not is_float(spec.dtype)):
            yield f"{spec.name}: expected {spec.dtype}, found {other.dtype}"
    for name in held.keys() - wanted.by_name.keys():
        yield f"{name}: not part of the target"
