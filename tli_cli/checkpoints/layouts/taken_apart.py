"""A checkpoint of which some tensors are read in parts, each under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, Read, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.layouts.in_files import Part
from tli_cli.dtypes import byte_count
from tli_cli.grouping import grouped

if TYPE_CHECKING:
    import torch

Parts = Mapping[str, Part]
"""By the name of a part, the tensor that it is a part of, and which of its elements the part holds."""


class PartsReader(ReaderOf):
    """The tensors of `checkpoint` under their clean names, those that `parts` name in parts."""

    def __init__(self, checkpoint: Checkpoint, parts: Parts) -> None:
        self._dtypes = {spec.name: spec.dtype for spec in checkpoint.tensors}
        held = grouped(parts, lambda name: parts[name].name)
        specs = {
            name: [TensorSpec(part, parts[part].shape, self._dtypes[name]) for part in own]
            for name, own in held.items()
        }
        tensors = (own for spec in checkpoint.tensors for own in specs.get(spec.name, (spec,)))
        super().__init__(checkpoint, tensors, made={name: partial(self._part, part) for name, part in parts.items()})
        self._parts = parts
        self._last: dict[str, torch.Tensor] = {}

    def _part(self, part: Part, read: Read) -> torch.Tensor:
        if part.name not in self._last:
            self._last = {part.name: read(part.name).contiguous()}
        return self._last[part.name].as_strided(part.shape, part.stride, part.offset).contiguous()

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are not neighbours in the file."""
        part = self._parts.get(name)
        whole = self._checkpoint.file_range(name if part is None else part.name)
        if part is None or whole is None:
            return whole
        dtype = self._dtypes[part.name]
        start, length = byte_count((part.offset,), dtype), byte_count(part.shape, dtype)
        return replace(whole, offset=whole.offset + start, length=length) if part.in_one_piece else None
