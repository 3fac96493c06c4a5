"""A checkpoint of any format behind one face."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.in_files import Layouts
from tli_cli.checkpoints.names import clean_names
from tli_cli.checkpoints.reader import Reader
from tli_cli.decoding import has_controls
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch


_LONGEST, _DEEPEST = 2_000, 100
_FEW = 4
"""Fewer tensors without elements are what a network has."""
_MOST_AXES = 64
"""What numpy has room for."""


class Checkpoint:
    """Names, shapes and dtypes of a checkpoint, and ways to its values.

    Attributes:
        path: what was opened.
        format: what it is, for people.
        tensors: the entries under their clean names, in stored order.
        stored_names: clean name -> stored name.
        clean_by_stored: stored name -> clean name.
        order_from: `file` if the stored order is the definition's, else `inferred`.
        metadata: the file's own notes.
        ignored: what was left aside, a line each.
        readings: what the user should know of how it is read.
        channels_last: whether flattened maps have their channels last in it.
        config: Hugging Face's `config.json` beside it, if there is one.
        layouts: what stands in the file for tensors that are put together or renamed; by stored name.
    """

    def __init__(
        self, path: Path, reader: Reader, config: dict[str, Any] | None = None, expected: Collection[str] = ()
    ) -> None:
        if not reader.tensors:
            raise CheckpointError(f"{path}: expected a checkpoint, found no tensors in it")
        for spec in reader.tensors:
            _require_sound(spec, path)
        _require_values(reader.tensors, path)
        self.path = path
        self.format = reader.format
        self.stored_names = clean_names([spec.name for spec in reader.tensors], expected)
        self.clean_by_stored = {stored: name for name, stored in self.stored_names.items()}
        self.tensors = tuple(_renamed(spec, self.clean_by_stored) for spec in reader.tensors)
        self.order_from = reader.order_from
        self.metadata = {key: value for key, value in reader.metadata.items() if not has_controls(key + value)}
        self.ignored = tuple(reader.ignored)
        self.readings: tuple[str, ...] = getattr(reader, "readings", ())
        self.channels_last: bool = getattr(reader, "channels_last", False)
        self.config = config
        self.layouts: Layouts = getattr(reader, "layouts", {})
        self._reader: Reader | None = reader

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor called `name` (clean), on the CPU; it is not to be written to."""
        return self._opened().read(self.stored_names[name])

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` (clean) stand, None where they are not in one piece as they are."""
        return self._opened().file_range(self.stored_names[name])

    def close(self) -> None:
        """Let go of whatever the reader holds."""
        self._reader = None

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> Reader:
        if self._reader is None:
            raise ValueError(f"{self.path}: the checkpoint is closed")
        return self._reader


Read = Callable[[str], "torch.Tensor"]
Made = Mapping[str, Callable[[Read], "torch.Tensor"]]
"""How tensors are made from those that something reads, by their names."""


class ReaderOf:
    """Tensors of a checkpoint: `names` says what those are called there that have another name, and `made` are those
    that are worked out from its tensors when they are read."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        tensors: Iterable[TensorSpec],
        names: Mapping[str, str] = MappingProxyType({}),
        made: Made = MappingProxyType({}),
        layouts: Layouts = MappingProxyType({}),
    ) -> None:
        self.format, self.order_from = checkpoint.format, checkpoint.order_from
        self.metadata, self.ignored, self.readings = checkpoint.metadata, checkpoint.ignored, checkpoint.readings
        self.channels_last, self.layouts = checkpoint.channels_last, layouts
        self.tensors = tuple(tensors)
        self._checkpoint, self._names, self._made = checkpoint, names, made

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor called `name`, on the CPU."""
        made = self._made.get(name)
        return self._checkpoint.read(self._names.get(name, name)) if made is None else made(self._checkpoint.read)

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are made or nowhere in one piece."""
        return None if name in self._made else self._checkpoint.file_range(self._names.get(name, name))


def holding(checkpoint: Checkpoint, names: Mapping[str, str], expected: Collection[str] | None = None) -> Checkpoint:
    """Return those tensors of `checkpoint` that `names` calls, new name -> name there; `expected` are those new names
    unless others are."""
    new = {own: name for name, own in names.items()}
    kept = (spec for spec in checkpoint.tensors if spec.name in new)
    tensors = [replace(spec, name=new[spec.name], tied_to=new.get(spec.tied_to or "")) for spec in kept]
    reader = ReaderOf(checkpoint, tensors, names)
    return Checkpoint(checkpoint.path, reader, checkpoint.config, names if expected is None else expected)


def _require_sound(spec: TensorSpec, path: Path) -> None:
    """Raise `CheckpointError` where no module has such a name, or no library such a shape."""
    if has_controls(spec.name):
        raise CheckpointError(f"{path}: the name {spec.name[:60]!a} holds control characters; rename it")
    if not 0 < len(spec.name) <= _LONGEST or spec.name.count(".") > _DEEPEST:
        raise CheckpointError(
            f"{path}: expected names of 1 to {_LONGEST:,} characters and at most {_DEEPEST} dots, "
            f"found {spec.name[:60]!a}; rename it"
        )
    if len(spec.shape) > _MOST_AXES:
        raise CheckpointError(
            f"{path}: {spec.name}: expected at most {_MOST_AXES} axes, found {len(spec.shape):,}; leave it out"
        )


def _require_values(tensors: Sequence[TensorSpec], path: Path) -> None:
    """Raise `CheckpointError` where most tensors stand for others, which are elsewhere."""
    empty = [spec.name for spec in tensors if spec.shape == (0,)]
    if len(empty) >= _FEW and 2 * len(empty) > len(tensors):
        raise CheckpointError(
            f"{path}: expected weights, found {len(empty)} of {len(tensors)} tensors with no elements, such as "
            f"{empty[0][:60]}: DeepSpeed's ZeRO stage 3 keeps them in its optimizer's files; put them together with "
            "zero_to_fp32.py, which it writes beside them"
        )


def _renamed(spec: TensorSpec, clean: dict[str, str]) -> TensorSpec:
    tied = None if spec.tied_to is None else clean.get(spec.tied_to)
    return replace(spec, name=clean[spec.name], tied_to=tied)
