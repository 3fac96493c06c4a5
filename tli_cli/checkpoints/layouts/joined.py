"""A checkpoint with the tensors that a model has, put together from the parts that its library keeps in files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.layouts.in_files import Layouts

if TYPE_CHECKING:
    import torch


def joined(checkpoint: Checkpoint, layouts: Layouts) -> Checkpoint | None:
    """Return `checkpoint` with a model's tensors instead of their parts; None where it does not hold all parts of one,
    or only tensors that are whole."""
    held = {checkpoint.stored_names[spec.name]: spec for spec in checkpoint.tensors}
    there = {name: found for name, found in layouts.items() if any(part.name in held for part in found.parts)}
    fits = all(p.name in held and held[p.name].shape == p.shape for found in there.values() for p in found.parts)
    if not fits or all(found.is_whole for found in there.values()):
        return None
    return Checkpoint(checkpoint.path, JoinedReader(checkpoint, there), checkpoint.config, {*there, *held})


class JoinedReader(ReaderOf):
    """The tensors of `checkpoint`, those that stand in it in parts put together under their model's names."""

    def __init__(self, checkpoint: Checkpoint, layouts: Layouts) -> None:
        super().__init__(checkpoint)
        self.layouts = layouts
        self._clean = checkpoint.clean_by_stored
        self._model_names = {part.name: name for name, found in layouts.items() for part in found.parts}
        self.tensors = self._specs()
        self._dtypes = {spec.name: spec.dtype for spec in self.tensors}

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor that the model calls `name`, on the CPU."""
        import torch

        found = self.layouts.get(name)
        if found is None or found.is_whole:
            return self._checkpoint.read(self._stored_whole(name))
        whole = torch.empty(found.shape, dtype=getattr(torch, self._dtypes[name]))
        for part in found.parts:
            whole.as_strided(part.shape, part.stride, part.offset).copy_(self._checkpoint.read(self._clean[part.name]))
        return whole

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they stand in parts."""
        found = self.layouts.get(name)
        return self._checkpoint.file_range(self._stored_whole(name)) if found is None or found.is_whole else None

    def _stored_whole(self, name: str) -> str:
        found = self.layouts.get(name)
        return self._clean[found.parts[0].name if found is not None else name]

    def _specs(self) -> tuple[TensorSpec, ...]:
        specs: dict[str, TensorSpec] = {}
        for spec in self._checkpoint.tensors:
            name = self._model_name(spec.name)
            shape = self.layouts[name].shape if name in self.layouts else spec.shape
            tied_to = None if spec.tied_to is None else self._model_name(spec.tied_to)
            specs.setdefault(name, replace(spec, name=name, shape=shape, tied_to=tied_to))
        return tuple(specs.values())

    def _model_name(self, clean: str) -> str:
        stored = self._checkpoint.stored_names[clean]
        return self._model_names.get(stored, stored)
