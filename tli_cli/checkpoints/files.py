"""Ranges of bytes in files, and what a file is by its first bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tli_cli.checkpoints.strangers import stranger
from tli_cli.errors import CheckpointError

_MAX_READ = 1 << 30
_AGAIN = "run again when nothing writes to it"
_TO_FILE = "tensors are read at their places, so write what it gives to a file first"
ZIP = b"PK\x03\x04"


class Stamp(NamedTuple):
    """What a file was when it was first looked at: another one, or one that was written to, differs."""

    inode: int
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class FileRange:
    """`length` bytes of the file at `path`, from `offset` on, as long as that is what `stamp` says."""

    path: Path
    offset: int
    length: int
    stamp: Stamp | None = None


def read_range(piece: FileRange, buffer: memoryview) -> None:
    """Fill `buffer`, as long as the range, from the file; raise `CheckpointError` if the file has become shorter."""
    with opened(piece) as descriptor:
        read_at(descriptor, piece.path, piece.offset, buffer)


@contextmanager
def opened(piece: FileRange) -> Iterator[int]:
    """Open the file of `piece` for reading; raise `CheckpointError` where it cannot be read, or is not what it was."""
    try:
        descriptor = os.open(piece.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            found = _stamp(os.fstat(descriptor))
            if piece.stamp not in (None, found):
                raise CheckpointError(f"{piece.path}: changed while it was read; {_AGAIN}")
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CheckpointError(f"{piece.path}: cannot be read: {error.strerror}; {_AGAIN}") from error


def read_at(descriptor: int, path: Path, offset: int, buffer: memoryview) -> None:
    """Fill `buffer` from `offset` on of the file at `path`, open as `descriptor`.

    Raises:
        CheckpointError: the file has become shorter.
    """
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done : done + _MAX_READ]], offset + done)
        if count == 0:
            raise CheckpointError(
                f"{path}: changed while it was read: expected {len(buffer)} bytes at {offset}, found {done}; {_AGAIN}"
            )
        done += count


def read_small(path: Path, limit: int, what: str) -> bytes:
    """Return the whole file, refusing one of more than `limit` bytes as `what`."""
    size = require_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1) if size <= limit else b""
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if max(size, len(data)) > limit:
        raise CheckpointError(f"{path}: expected {what} of at most {limit:,} bytes, found {max(size, len(data)):,}")
    return data


def require_file(path: Path) -> int:
    """Return the size of the regular file at `path`; raise `CheckpointError` for anything else."""
    return stamp_of(path).size


def stamp_of(path: Path) -> Stamp:
    """Return what the regular file at `path` is now; raise `CheckpointError` for anything else."""
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"{path}: cannot be opened: {reason}; check the path") from error
    if not stat.S_ISREG(info.st_mode):
        what = "a directory" if stat.S_ISDIR(info.st_mode) else f"something else (a device or pipe); {_TO_FILE}"
        raise CheckpointError(f"{path}: expected a file, found {what}")
    return _stamp(info)


def _stamp(info: os.stat_result) -> Stamp:
    return Stamp(info.st_ino, info.st_size, info.st_mtime_ns)


def sniff(path: Path) -> str:
    """Return what the file is by its content: `safetensors`, `zip`, `pickle` or `tar`.

    Raises:
        CheckpointError: where it is none of these, or no file.
    """
    size = require_file(path)
    if size == 0:
        raise CheckpointError(f"{path}: the file is empty; it may be an interrupted download or save: make it again")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    if head.startswith(ZIP):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if known := stranger(path.name, head):
        raise CheckpointError(f"{path}: expected a checkpoint, found {known[0]}; {known[1]}")
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return "safetensors"
    raise CheckpointError(
        f"{path}: expected a safetensors file or one written by torch.save, found neither "
        f"(it begins with {head[:8]!r}); check that it is the right file and complete"
    )


def is_plain_name(name: str) -> bool:
    """Return whether `name` names something in a directory, and nothing elsewhere."""
    return name.isprintable() and name not in ("", ".", "..") and not any(mark in name for mark in "/\\:")


def beside(directory: Path, name: str, where: Path) -> Path:
    """Return the file `name` in `directory`; raise `CheckpointError` if it lies, or a link leads, anywhere else."""
    if not is_plain_name(name):
        raise CheckpointError(f"{where}: names {name[:80]!r}, which is not a file beside it; shards must stand there")
    path = directory / name
    home = directory.resolve()
    allowed = {home}
    if home.parent.name == "snapshots":  # Hugging Face's cache links every file into one directory of blobs
        allowed.add(home.parent.parent / "blobs")
    try:
        real = path.resolve()
        there = real.exists()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{where}: names {name[:80]!r}, which leads nowhere") from error
    if real.parent not in allowed:
        raise CheckpointError(f"{where}: names {name!r}, a link to {real}, not beside it; copy the shard there")
    if not there:
        raise CheckpointError(f"{where}: names the shard {name!r}, which is not there; download or copy it too")
    return path
