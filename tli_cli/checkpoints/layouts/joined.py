"""A checkpoint with the tensors that a model has, put together from the parts that its library keeps in files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, Read, ReaderOf
from tli_cli.checkpoints.layouts.in_files import InFiles, Layouts

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
