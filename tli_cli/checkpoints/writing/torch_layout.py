"""A file as torch.save writes it, before its values are there: torch makes all the rest, and leaves room for them."""

from __future__ import annotations

import json
import mmap
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.notes import NOTES
from tli_cli.checkpoints.torch_files.archive import data_offset
from tli_cli.checkpoints.writing.checksums import Checksums
from tli_cli.checkpoints.writing.layout import FileLayout, repeated
from tli_cli.checkpoints.writing.output import PendingFile
from tli_cli.dtypes import PACKED, byte_count
from tli_cli.errors import CheckpointError, join_problems

if TYPE_CHECKING:
    import torch


_ROOT = "archive"
_ENTRY = struct.Struct("<4s12xI8xHHH12x")
"""A record in a zip file's list: its mark, its checksum, and the lengths of its name, its extras and its comment."""

_CHECKSUM_IN_LIST, _CHECKSUM_BEFORE_RECORD = 16, 14


def lay_out_torch(specs: Sequence[TensorSpec], metadata: Mapping[str, str], path: Path) -> FileLayout:
    """Return the file at `path` to which torch.save would write `specs`, in their order, as one state dict.

    `metadata` stands beside them in the archive, where torch does not look. Tied tensors share their values.

    Raises:
        CheckpointError: torch has no such element type, or no temporary file can be written.
    """
    import torch

    if problems := [
        f"{spec.name}: torch cannot save {spec.dtype}; write a .safetensors file"
        for spec in specs
        if spec.dtype in PACKED or not hasattr(torch, spec.dtype)
    ]:
        raise CheckpointError(join_problems(f"{path}: the tensors cannot be written:", problems))
    try:
        with TemporaryDirectory(prefix="tli-") as directory:
            frame = Path(directory, f"{_ROOT}.pt")
            _save_without_values(specs, frame)
            with zipfile.ZipFile(frame, "a") as archive:
                archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{NOTES}"), json.dumps(metadata))
            return _measured(specs, frame)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: could not be laid out in a temporary directory ({error}); make room there, or set TMPDIR"
        ) from error


def _save_without_values(specs: Sequence[TensorSpec], path: Path) -> None:
    """Have torch save tensors of `specs` that lie in memory that is set aside, and never touched or written."""
    import torch

    ties, rooms = repeated(specs), _rooms(specs)
    held: dict[str, torch.Tensor] = {}
    for spec in specs:
        dtype = getattr(torch, spec.dtype)
        first = held.get(ties.get(spec.name, ""))
        if first is None and spec.size:
            first = torch.frombuffer(rooms[spec.dtype], dtype=dtype, count=spec.size).reshape(spec.shape)
        held[spec.name] = torch.empty(spec.shape, dtype=dtype) if first is None else first
    with torch.serialization.skip_data():
        torch.save(held, path)


def _rooms(specs: Sequence[TensorSpec]) -> dict[str, mmap.mmap]:
    """Return room for the largest tensor of each type; torch asks that types do not share it."""
    sizes: dict[str, int] = {}
    for spec in specs:
        sizes[spec.dtype] = max(sizes.get(spec.dtype, 1), byte_count(spec.shape, spec.dtype))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    return {dtype: mmap.mmap(-1, size, flags=flags) for dtype, size in sizes.items()}


def _measured(specs: Sequence[TensorSpec], path: Path) -> FileLayout:
    """Return where values go in the archive at `path`, and what stands between them."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        starts = {member.filename: data_offset(file, member) for member in archive.infolist()}
        lengths = {starts[member.filename]: member.file_size for member in archive.infolist()}
        places = {name.rpartition("/data/")[2]: start for name, start in starts.items() if "/data/" in name}
        ties = repeated(specs)
        written = [spec for spec in specs if spec.name not in ties]
        offsets = {spec.name: places[str(number)] for number, spec in enumerate(written)}
        offsets |= {name: offsets[first] for name, first in ties.items()}
        frames = []
        position, total = 0, path.stat().st_size
        for spec in sorted(written, key=lambda spec: offsets[spec.name]):
            frames.append((position, _between(file, position, offsets[spec.name])))
            position = offsets[spec.name] + byte_count(spec.shape, spec.dtype)
        frames.append((position, _between(file, position, total)))
    checksums = Checksums(lengths)
    in_place = tuple(sorted(specs, key=lambda spec: offsets[spec.name]))  # torch 2.6 puts storage 10 before storage 2
    return FileLayout(in_place, offsets, tuple(frames), total, checksums.see, partial(_write_checksums, checksums))


def _between(file: Any, start: int, end: int) -> bytes:
    file.seek(start)
    data: bytes = file.read(end - start)
    return data


def _write_checksums(checksums: Checksums, file: PendingFile) -> None:
    """Put the checksums of all records into the archive, once its values are there; torch left them out."""
    with open(file.descriptor, "rb", closefd=False) as content:
        for place, member in _members(content):
            data = memoryview(struct.pack("<I", checksums.of(data_offset(content, member))))
            file.write_at(data, place + _CHECKSUM_IN_LIST)
            file.write_at(data, member.header_offset + _CHECKSUM_BEFORE_RECORD)


def _members(content: Any) -> Iterator[tuple[int, zipfile.ZipInfo]]:
    """Yield each record, and where it stands in the list at the end."""
    with zipfile.ZipFile(content) as archive:
        position = archive.start_dir
        for member in archive.infolist():
            content.seek(position)
            _, _, *lengths = _ENTRY.unpack(content.read(_ENTRY.size))
            yield position, member
            position += _ENTRY.size + sum(lengths)
