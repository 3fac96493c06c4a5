"""The zip archive that torch.save writes: checked, and where the bytes of each storage stand in it."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from tli_cli.checkpoints.notes import MAX_NOTES, NOTES, read_notes
from tli_cli.checkpoints.strangers import zipped_stranger
from tli_cli.checkpoints.torch_files.pickles import MAX_PICKLE
from tli_cli.errors import CheckpointError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
EXPORTED = ("archive_format", "serialized_exported_program.json")
"""What an exported program holds, and nothing else does."""
_INSTEAD = "use the checkpoint that it was made from, or, where you trust it, torch.save({}, 'new.pt')"


@dataclass(frozen=True)
class Archive:
    """A checked archive: its pickle, where the bytes of each storage begin and how many there are, and the notes of our
    writer."""

    pickle: bytes
    storages: dict[str, tuple[int, int]]
    notes: dict[str, str]


def read_archive(file: BinaryIO, size: int, where: str) -> Archive:
    """Return what the archive in `file`, of `size` bytes, holds.

    Raises:
        CheckpointError: it is not a sound one of torch.save's.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            pickled = _pickle_member(members, where)
            _check_members(members, where)
            starts = {member.filename: data_offset(file, member) for member in members}
            data = _content(file, pickled)
            _check_order(file, members, where)
            notes = _notes(file, members)
    except (zipfile.BadZipFile, OSError, struct.error, ValueError, RuntimeError, EOFError) as error:
        raise CheckpointError(
            f"{where}: the archive is damaged or incomplete ({str(error)[:120]}); make or download it again"
        ) from error
    if any(starts[member.filename] + member.file_size > size for member in members):
        raise CheckpointError(f"{where}: its records reach beyond the end; it is incomplete: download it again")
    prefix = pickled.filename.removesuffix("data.pkl") + "data/"
    storages = {
        member.filename.removeprefix(prefix): (starts[member.filename], member.file_size)
        for member in members
        if member.filename.startswith(prefix)
    }
    return Archive(data, storages, notes)


def _pickle_member(members: list[zipfile.ZipInfo], where: str) -> zipfile.ZipInfo:
    names = {member.filename.partition("/")[2] or member.filename for member in members}
    if "constants.pkl" in names or "bytecode.pkl" in names or any(name.startswith("code/") for name in names):
        said = _INSTEAD.format("torch.jit.load(FILE).state_dict()")
        raise CheckpointError(f"{where}: a TorchScript archive holds code and is not read; {said}")
    if PurePath(where).suffix == ".pt2" or any(name.endswith(EXPORTED) for name in names):
        said = _INSTEAD.format("torch.export.load(FILE).state_dict")
        raise CheckpointError(f"{where}: an exported program (.pt2) is not read; {said}")
    for member in members:
        if member.filename.count("/") == 1 and member.filename.endswith("/data.pkl"):
            return member
    if known := zipped_stranger(names):
        raise CheckpointError(f"{where}: expected a checkpoint, found {known[0]}; {known[1]}")
    found = ", ".join(sorted(names)[:4]) or "nothing"
    raise CheckpointError(f"{where}: a zip archive, but none of torch.save's: expected data.pkl, found {found}")


def _check_members(members: list[zipfile.ZipInfo], where: str) -> None:
    seen: set[str] = set()
    for member in members:
        name = member.filename.lower()  # torch looks for records without regard to case
        if name in seen:
            raise CheckpointError(f"{where}: holds {member.filename[:80]!r} twice; save the file again")
        seen.add(name)
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise CheckpointError(
                f"{where}: {member.filename!r} is compressed; torch.save stores records as they are: save the file "
                "again"
            )
        if member.filename.endswith("/data.pkl") and member.file_size > MAX_PICKLE:
            raise CheckpointError(f"{where}: data.pkl has {member.file_size:,} bytes; expected at most {MAX_PICKLE:,}")


def _check_order(file: BinaryIO, members: list[zipfile.ZipInfo], where: str) -> None:
    """Refuse values of another order of bytes."""
    for member in members:
        if member.filename.partition("/")[2] == "byteorder":
            held = _content(file, member) if member.file_size < 16 else b"?"
            if held == b"big":
                raise CheckpointError(f"{where}: written on a big-endian machine; save it again on a little-endian one")
            if held != b"little":
                raise CheckpointError(f"{where}: the archive is damaged: its byteorder is {held!r}; save it again")


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
