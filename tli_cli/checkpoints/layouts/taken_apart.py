"""A checkpoint of which some tensors are read in parts, each under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.layouts.in_files import Part
from tli_cli.dtypes import byte_count

if TYPE_CHECKING:
    import torch

Parts = Mapping[str, Part]
"""By the name of a part, the tensor that it is a part of, and which of its elements the part holds."""


class PartsReader(ReaderOf):
    """The tensors of `checkpoint` under their clean names, those that `parts` name in parts."""

    def __init__(self, checkpoint: Checkpoint, parts: Parts) -> None:
        super().__init__(checkpoint)
        self._parts = parts
        self._last: dict[str, torch.Tensor] = {}
        self.tensors = self._specs()
        self._dtypes = {spec.name: spec.dtype for spec in self.tensors}

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor or a part of one, on the CPU."""
        part = self._parts.get(name)
        if part is None:
            return self._checkpoint.read(name)
        if part.name not in self._last:
            self._last = {part.name: self._checkpoint.read(part.name).contiguous()}
        return self._last[part.name].as_strided(part.shape, part.stride, part.offset).contiguous()

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are not neighbours in the file."""
        part = self._parts.get(name)
        whole = self._checkpoint.file_range(name if part is None else part.name)
        if part is None or whole is None:
            return whole
        dtype = self._dtypes[name]
        start, length = byte_count((part.offset,), dtype), byte_count(part.shape, dtype)
        return replace(whole, offset=whole.offset + start, length=length) if part.in_one_piece else None

    def _specs(self) -> tuple[TensorSpec, ...]:
        made: dict[str, list[TensorSpec]] = {}
        dtypes = {spec.name: spec.dtype for spec in self._checkpoint.tensors}
        for name, part in self._parts.items():
            made.setdefault(part.name, []).append(TensorSpec(name, part.shape, dtypes[part.name]))
        return tuple(own for spec in self._checkpoint.tensors for own in made.get(spec.name, (spec,)))
