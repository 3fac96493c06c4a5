"""Checkpoints read in other parts than they hold: tensors put together from several, or taken apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, Read, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.in_files import InFiles, Layouts, Part
from tli_cli.dtypes import byte_count
from tli_cli.grouping import grouped

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
    return put_together(checkpoint, there, {*there, *held})


def put_together(checkpoint: Checkpoint, layouts: Layouts, expected: Collection[str] = ()) -> Checkpoint:
    """Return `checkpoint` with those of its tensors that stand in it in parts put together, under their model's names,
    which are `expected` unless others are."""
    clean, stored = checkpoint.clean_by_stored, checkpoint.stored_names
    model_names = {part.name: name for name, found in layouts.items() for part in found.parts}
    said = {spec.name: model_names.get(stored[spec.name], stored[spec.name]) for spec in checkpoint.tensors}
    specs: dict[str, TensorSpec] = {}
    for spec in checkpoint.tensors:
        name = said[spec.name]
        shape = layouts[name].shape if name in layouts else spec.shape
        specs.setdefault(name, replace(spec, name=name, shape=shape, tied_to=said.get(spec.tied_to or "")))
    made = {name: partial(_made, layouts[name], specs[name].dtype, clean) for name in specs if name in layouts}
    made = {name: make for name, make in made.items() if not layouts[name].is_whole}
    names = {name: own for own, name in said.items()}
    reader = ReaderOf(checkpoint, specs.values(), names, made, layouts)
    return Checkpoint(checkpoint.path, reader, checkpoint.config, expected or specs)


def _made(found: InFiles, dtype: str, clean: Mapping[str, str], read: Read) -> torch.Tensor:
    import torch

    whole = torch.empty(found.shape, dtype=getattr(torch, dtype))
    for part in found.parts:
        whole.as_strided(part.shape, part.stride, part.offset).copy_(read(clean[part.name]))
    return whole


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
