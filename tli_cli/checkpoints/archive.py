"""The zip archive that torch.save writes: checked before torch reads it."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tli_cli.checkpoints.files import Stamp, stamp_of
from tli_cli.checkpoints.notes import MAX_NOTES, NOTES, read_notes
from tli_cli.checkpoints.pickles import MAX_PICKLE, globals_in
from tli_cli.errors import CheckpointError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_EXPORTED = ("archive_format", "serialized_exported_program.json")
_ALIGNMENT = re.compile(rb"[1-9][0-9]{0,8}")
_SCRIPT = "save `model.state_dict()` with torch.save, or better as safetensors"


@dataclass(frozen=True)
class Archive:
    """A checked archive: where each record's bytes begin and how many there are, the pickle's globals, the notes of our
    writer, and what the file was then."""

    records: dict[int, int]
    globals: frozenset[str]
    notes: dict[str, str]
    stamp: Stamp


def check_archive(path: Path) -> Archive:
    """Return what the archive at `path` holds; raise `CheckpointError` unless it is a sound one of torch.save's."""
    stamp = stamp_of(path)
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            members = archive.infolist()
            pickled = _pickle_member(members, path)
            _check_members(members, path)
            records = {data_offset(file, member): member.file_size for member in members}
            data = _content(file, pickled)
            _check_settings(file, members, path)
            notes = _notes(file, members)
    except (zipfile.BadZipFile, OSError, struct.error, ValueError, RuntimeError, EOFError) as error:
        raise CheckpointError(
            f"{path}: the archive is damaged or incomplete ({str(error)[:120]}); make or download it again"
        ) from error
    if any(offset + length > stamp.size for offset, length in records.items()):
        raise CheckpointError(f"{path}: its records reach beyond the end; it is incomplete: download it again")
    return Archive(records, globals_in(io.BytesIO(data), str(path)), notes, stamp)


def _pickle_member(members: list[zipfile.ZipInfo], path: Path) -> zipfile.ZipInfo:
    names = {member.filename.partition("/")[2] or member.filename for member in members}
    if "constants.pkl" in names or "bytecode.pkl" in names or any(name.startswith("code/") for name in names):
        raise CheckpointError(f"{path}: a TorchScript archive holds code and is not read; {_SCRIPT}")
    if path.suffix == ".pt2" or any(name.endswith(_EXPORTED) for name in names):
        raise CheckpointError(f"{path}: an exported program (.pt2) is not read; {_SCRIPT}")
    for member in members:
        if member.filename.count("/") == 1 and member.filename.endswith("/data.pkl"):
            return member
    found = ", ".join(sorted(names)[:4]) or "nothing"
    raise CheckpointError(f"{path}: a zip archive, but none of torch.save's: expected data.pkl, found {found}")


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    seen: set[str] = set()
    for member in members:
        name = member.filename.lower()  # torch looks for records without regard to case
        if name in seen:
            raise CheckpointError(f"{path}: holds {member.filename[:80]!r} twice; save the file again")
        seen.add(name)
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise CheckpointError(
                f"{path}: {member.filename!r} is compressed; torch.save stores records as they are: save the file again"
            )
        if member.filename.endswith("/data.pkl") and member.file_size > MAX_PICKLE:
            raise CheckpointError(f"{path}: data.pkl has {member.file_size:,} bytes; expected at most {MAX_PICKLE:,}")


def _check_settings(file: BinaryIO, members: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse what torch takes at its word: another order of bytes, and an alignment that it would divide by zero."""
    for member in members:
        name = member.filename.partition("/")[2]
        if name not in ("byteorder", ".storage_alignment"):
            continue
        held = _content(file, member) if member.file_size < 16 else b"?"
        if held == b"big":
            raise CheckpointError(f"{path}: written on a big-endian machine; save it again on a little-endian one")
        if held != b"little" and not (name == ".storage_alignment" and _ALIGNMENT.fullmatch(held)):
            raise CheckpointError(f"{path}: the archive is damaged: its record {name} says {held!r}; save it again")


def _notes(file: BinaryIO, members: list[zipfile.ZipInfo]) -> dict[str, str]:
    for member in members:
        if member.filename.partition("/")[2] == NOTES and member.file_size <= MAX_NOTES:
            return read_notes(_content(file, member))
    return {}


def _content(file: BinaryIO, member: zipfile.ZipInfo) -> bytes:
    # not `ZipFile.read`: torch can be told to leave checksums out
    file.seek(data_offset(file, member))
    return file.read(member.file_size)


def data_offset(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Return where the bytes of `member` begin in `file`."""
    file.seek(member.header_offset)
    magic, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if magic != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no record at {member.header_offset}")
    return int(member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
