"""Directories of torch.distributed.checkpoint: metadata by an allow-list, tensors put together from their chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange, Stamp, beside, read_range, read_small, stamp_of
from tli_cli.checkpoints.nested import find_state_dict
from tli_cli.checkpoints.notes import MAX_NOTES, NOTES, read_notes
from tli_cli.checkpoints.stand_ins import Unread
from tli_cli.checkpoints.torch_files.dcp_metadata import Chunk, StoredTensor, read_metadata
from tli_cli.checkpoints.torch_files.torch_file import load_tensor
from tli_cli.dtypes import byte_count, is_buffer
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Entry(Unread):
    name: str


@dataclass(frozen=True)
class _Part:
    piece: FileRange
    chunk: Chunk


class DistributedCheckpoint:
    """A directory with a `.metadata` file and the data files that it names."""

    format = "distributed"
    order_from = "file"

    def __init__(self, path: Path, ema: str | None = None) -> None:
        self.path = path
        self.metadata = _notes(path)
        where = path / ".metadata"
        tensors, paths = read_metadata(where)
        found = find_state_dict(_nested(tensors, paths), str(path), ema)
        self.ignored = found.ignored
        chosen = {name: tensors[entry.name] for name, entry in found.tensors.items()}
        stamps: dict[str, Stamp] = {}
        self._parts = {name: _parts(path, name, tensor, stamps) for name, tensor in chosen.items()}
        self.tensors = tuple(
            TensorSpec(name, tensor.size, tensor.dtype, None, is_buffer(name, tensor.dtype))
            for name, tensor in chosen.items()
        )
        self._specs = {spec.name: spec for spec in self.tensors}

    def read(self, name: str) -> torch.Tensor:
        """Return the whole tensor stored as `name`, on the CPU."""
        import torch

        spec = self._specs[name]
        whole = torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype))
        for part in self._parts[name]:
            chunk = part.chunk
            place = tuple(slice(at, at + size) for at, size in zip(chunk.offsets, chunk.sizes, strict=True))
            whole[place] = _load_part(part, spec)
        return whole

    def file_range(self, name: str) -> None:
        """Return None: each chunk is an archive of its own."""
        return None


def _notes(path: Path) -> dict[str, str]:
    try:
        return read_notes(read_small(path / NOTES, MAX_NOTES, "notes"))
    except CheckpointError:
        return {}


def _nested(tensors: Mapping[str, StoredTensor], paths: Mapping[str, tuple[Any, ...]]) -> dict[Any, Any]:
    """Return the tensors in the dicts in which they were saved."""
    root: dict[Any, Any] = {}
    for name in tensors:
        node = root
        *outer, last = paths.get(name) or (name,)
        for key in outer:
            inner = node.setdefault(key, {})
            node = inner if isinstance(inner, dict) else node
        node[last] = _Entry(name)
    return root


def _parts(directory: Path, name: str, tensor: StoredTensor, stamps: dict[str, Stamp]) -> tuple[_Part, ...]:
    where = directory / ".metadata"
    parts = []
    for chunk in tensor.chunks:
        axes = len(tensor.size)
        bounds = zip(chunk.offsets, chunk.sizes, tensor.size, strict=False)
        inside = all(at + size <= whole for at, size, whole in bounds)
        if not inside or len(chunk.offsets) != axes or len(chunk.sizes) != axes:
            raise CheckpointError(
                f"{where}: {name}: a chunk {chunk.sizes} at {chunk.offsets} lies outside {tensor.size}"
            )
        path = beside(directory, chunk.file, where)
        if chunk.file not in stamps:
            stamps[chunk.file] = stamp_of(path)
        size = stamps[chunk.file].size
        needed = byte_count(chunk.sizes, tensor.dtype)
        if chunk.start < 0 or chunk.start + chunk.length > size or chunk.length < needed:
            raise CheckpointError(
                f"{where}: {name}: expected at least {needed:,} bytes in {chunk.file} (of {size:,}), "
                f"found {chunk.length:,} at {chunk.start:,}; the checkpoint is incomplete: copy it again"
            )
        parts.append(_Part(FileRange(path, chunk.start, chunk.length, stamps[chunk.file]), chunk))
    if _overlap(tensor.chunks):
        raise CheckpointError(f"{where}: {name}: two of its chunks lie in one place; save the checkpoint again")
    held = sum(prod(chunk.sizes) for chunk in tensor.chunks)
    if held != prod(tensor.size):
        raise CheckpointError(
            f"{where}: {name}: its chunks hold {held:,} elements, its shape {tensor.size} claims more"
        )
    return tuple(parts)


def _overlap(chunks: Sequence[Chunk]) -> bool:
    """Return whether two of `chunks` share an element: each is held against those that begin before it ends."""
    open_ones: list[Chunk] = []
    for chunk in sorted((chunk for chunk in chunks if prod(chunk.sizes)), key=lambda chunk: chunk.offsets):
        first = chunk.offsets[:1]
        open_ones = [other for other in open_ones if not first or other.offsets[0] + other.sizes[0] > first[0]]
        for other in open_ones:
            bounds = zip(chunk.offsets, chunk.sizes, other.offsets, other.sizes, strict=True)
            if all(a < b + wide and b < a + long for a, long, b, wide in bounds):
                return True
        open_ones.append(chunk)
    return False


def _load_part(part: _Part, spec: TensorSpec) -> torch.Tensor:
    data = bytearray(part.piece.length)
    read_range(part.piece, memoryview(data))
    where = f"{part.piece.path} at {part.piece.offset:,}: {spec.name}"
    value = load_tensor(data, where)
    if (tuple(value.shape), str(value.dtype)[6:]) != (part.chunk.sizes, spec.dtype):
        raise CheckpointError(f"{where}: expected {spec.dtype} {part.chunk.sizes}, found something else; copy it again")
    return value
