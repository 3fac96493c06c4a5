"""The values of the sources and of a target checkpoint: read, checked once, or handed over as ranges of their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import Checkpoint, FileRange
from tli_cli.checkpoints.finite import is_finite
from tli_cli.errors import TliError
from tli_cli.plan import Layout, Step

if TYPE_CHECKING:
    import torch

    from tli_cli.references import Reference


class StoredValues:
    """Ways to the values of the sources' tensors; NaN and infinite values are reported by tensor, or refused."""

    def __init__(self, sources: Sequence[Reference], target: Reference, *, keep_nonfinite: bool) -> None:
        for source in sources:
            if source.checkpoint is None:
                raise TliError(
                    f"{source.text}: an architecture without values cannot be injected from; name a checkpoint of it"
                )
        self._checkpoints = [source.checkpoint for source in sources if source.checkpoint is not None]
        self._held = [{spec.name: spec for spec in checkpoint.tensors} for checkpoint in self._checkpoints]
        self._target = target.checkpoint
        self._keep = keep_nonfinite
        self._checked: set[tuple[int, str]] = set()
        self.warnings: list[str] = []

    def read(self, model: int, name: str) -> torch.Tensor:
        """Return tensor `name` of source `model`, on the CPU."""
        self._check(model, name)
        return self._checkpoints[model].read(name)

    def unchanged(self, step: Step, spec: TensorSpec) -> FileRange | None:
        """Return where the bytes of the step's result stand, if they are a stored tensor's as they are."""
        if step.action == "keep":
            return self._kept(step, spec)
        if step.resizer != "copy" or len(step.pieces) != 1:
            return None
        piece = step.pieces[0]
        if piece.weight != 1.0 or piece.target_range or piece.source_range or _reorders(piece.layout):
            return None
        held = self._held[piece.model].get(piece.source)
        if held is None or held.dtype != spec.dtype or held.size != spec.size:
            return None
        self._check(piece.model, piece.source)
        return self._checkpoints[piece.model].file_range(piece.source)

    def _kept(self, step: Step, spec: TensorSpec) -> FileRange | None:
        if step.initial != "target" or self._target is None:
            return None
        held = next((tensor for tensor in self._target.tensors if tensor.name == step.target), None)
        return self._target.file_range(step.target) if held is not None and held.dtype == spec.dtype else None

    def _check(self, model: int, name: str) -> None:
        if (model, name) in self._checked:
            return
        self._checked.add((model, name))
        checkpoint, held = self._checkpoints[model], self._held[model].get(name)
        if held is None or _holds_finite(checkpoint, held):
            return
        text = f"{checkpoint.path}: {name} holds NaN or infinite values"
        if not self._keep:
            raise TliError(f"{text}; --on-nonfinite keep injects them all the same")
        self.warnings.append(text)


def _holds_finite(checkpoint: Checkpoint, held: TensorSpec) -> bool:
    piece = checkpoint.file_range(held.name)
    if piece is not None:
        return is_finite(piece, held.dtype)
    tensor = checkpoint.read(held.name)
    tensor = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _reorders(layout: Layout | None) -> bool:
    if layout is None:
        return False
    moved = [place for place in layout.permute if layout.split[place] != 1]
    return moved != sorted(moved)
