"""The values of the sources and of a target checkpoint: read, checked once, or handed over as ranges of their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import Checkpoint
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.finite import is_finite
from tli_cli.checkpoints.writing.contents import Content, Copied, Looked, Made, content_of
from tli_cli.errors import TliError
from tli_cli.pieces import Layout
from tli_cli.plan import Step

if TYPE_CHECKING:
    import torch

    from tli_cli.references import Reference


Stored = tuple[TensorSpec, FileRange]
"""A tensor, and where its contiguous bytes stand."""


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
        self._own = {spec.name: spec for spec in self._target.tensors} if self._target is not None else {}
        self._keep = keep_nonfinite
        self._checked: dict[tuple[int, str], bool] = {}
        self._overflown: dict[str, str] = {}
        self.notes: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of the values that were read."""
        found = (self._said(key) for key, finite in self._checked.items() if not finite)
        return (*self.notes, *found, *self._overflown.values())

    def read(self, model: int, name: str) -> torch.Tensor:
        """Return tensor `name` of source `model`, on the CPU."""
        self._check(model, name)
        return self._checkpoints[model].read(name)

    def unchanged(self, step: Step, spec: TensorSpec) -> Content | None:
        """Return the bytes of the step's result, if they are a stored tensor's, which are checked when copied."""
        if step.action == "keep":
            own = self.own(step)
            return Copied(own[1]) if own is not None and own[0].dtype == spec.dtype else None
        if step.resizer != "copy" or len(step.pieces) != 1:
            return None
        piece = step.pieces[0]
        if piece.weight != 1.0 or piece.target_range or piece.source_range or reorders(piece.layout):
            return None
        stored = self.stored(piece.model, piece.source)
        if stored is None or stored[0].dtype != spec.dtype or stored[0].size != spec.size:
            return None
        key = piece.model, piece.source
        if key in self._checked:
            return Copied(stored[1])
        self._checked[key] = True
        return Copied(stored[1], spec.dtype, lambda: self._not_finite(key))

    def stored(self, model: int, name: str) -> Stored | None:
        """Return a source's tensor and where its bytes stand, None where they are not in one piece as they are."""
        held = self._held[model].get(name)
        piece = None if held is None else self._checkpoints[model].file_range(name)
        return None if held is None or piece is None else (held, piece)

    def own(self, step: Step) -> Stored | None:
        """Return the target's own tensor that a step starts from, and where its bytes stand, if in one piece."""
        held = self._own.get(step.target) if step.initial == "target" else None
        piece = None if held is None or self._target is None else self._target.file_range(step.target)
        return None if held is None or piece is None else (held, piece)

    def checked(self, names: Sequence[tuple[int, str]], content: Content) -> Content:
        """Return `content`, and have the tensors that it is made of looked through when it is."""
        new = [name for name in dict.fromkeys(names) if name not in self._checked]
        self._checked.update(dict.fromkeys(new, True))
        return Looked(content, lambda: self._look(new)) if new else content

    def made(self, step: Step, spec: TensorSpec, value: torch.Tensor | Content) -> Content:
        """Return what was made for `step`, and have it looked through: finite values may come to be infinite."""
        content = content_of(spec, value)
        if step.action == "keep":
            return content
        return Made(content, spec.dtype, lambda: self._not_finite_made(step, spec))

    def _not_finite_made(self, step: Step, spec: TensorSpec) -> None:
        names = [(piece.model, name) for piece in step.pieces for name in piece.names]
        self._look(names)
        if all(self._checked.get(name, True) for name in names):
            said = f"{step.target}: what is made for it is not finite in {spec.dtype}"
            if not self._keep:
                raise TliError(f"{said}; give a wider --dtype, or --on-nonfinite keep")
            self._overflown[step.target] = said

    def _look(self, names: Sequence[tuple[int, str]]) -> None:
        for model, name in names:
            if not holds_finite(self._checkpoints[model], self._held[model][name]):
                self._not_finite((model, name))

    def _check(self, model: int, name: str) -> None:
        if (model, name) not in self._checked:
            self._checked[model, name] = True
            self._look([(model, name)] if name in self._held[model] else [])

    def _not_finite(self, key: tuple[int, str]) -> None:
        """Note that a tensor holds NaN or infinite values, or raise `TliError` if it may not."""
        self._checked[key] = False
        if not self._keep:
            raise TliError(f"{self._said(key)}; --on-nonfinite keep injects them all the same")

    def _said(self, key: tuple[int, str]) -> str:
        return f"{self._checkpoints[key[0]].path}: {key[1]} holds NaN or infinite values"


def holds_finite(checkpoint: Checkpoint, held: TensorSpec) -> bool:
    """Return whether no value of tensor `held` of `checkpoint` is NaN or infinite; what is no float is finite."""
    piece = checkpoint.file_range(held.name)
    if piece is not None:
        return is_finite(piece, held.dtype)
    tensor = checkpoint.read(held.name)
    tensor = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def reorders(layout: Layout | None) -> bool:
    """Return whether `layout` moves values, and not only sees them in another shape."""
    if layout is None:
        return False
    moved = [place for place in layout.permute if layout.split[place] != 1]
    return moved != sorted(moved)
