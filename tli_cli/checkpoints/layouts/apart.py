"""A checkpoint that holds a base model and its adapter, as two."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.checkpoints.checkpoint import Checkpoint, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.layouts.low_rank_names import ORIGINAL, SAVED_ALONE

if TYPE_CHECKING:
    import torch


def apart(checkpoint: Checkpoint, factors: Collection[str]) -> tuple[Checkpoint, Checkpoint]:
    """Return the base model in `checkpoint` and its adapter: the tensors `factors`, and the layers that were trained
    whole beside their originals."""
    own = {name for spec in checkpoint.tensors if (name := spec.name) in factors or SAVED_ALONE.search(name)}
    base = {ORIGINAL.sub(".", spec.name): spec.name for spec in checkpoint.tensors if spec.name not in own}
    return holding(checkpoint, base), holding(checkpoint, {name: name for name in own})


def holding(checkpoint: Checkpoint, names: Mapping[str, str]) -> Checkpoint:
    """Return those tensors of `checkpoint` that `names` calls, new name -> name there."""
    return Checkpoint(checkpoint.path, _PartReader(checkpoint, names), checkpoint.config, names)


class _PartReader(ReaderOf):
    """Those tensors of a checkpoint that `names` calls, new name -> name there."""

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str]) -> None:
        super().__init__(checkpoint)
        self._names = names
        new = {name: own for own, name in names.items()}
        kept = (spec for spec in checkpoint.tensors if spec.name in new)
        self.tensors = tuple(replace(s, name=new[s.name], tied_to=new.get(s.tied_to or "")) for s in kept)

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor called `name`, on the CPU."""
        return self._checkpoint.read(self._names[name])

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are nowhere in one piece."""
        return self._checkpoint.file_range(self._names[name])
