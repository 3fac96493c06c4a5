"""What a killed process leaves behind: hidden files and directories that never got the output's name."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from zlib import crc32

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # no such locks on this system
    flock = None  # type: ignore[assignment]

INDEX = ".index.json"

_LONGEST = 230


def belongs_to(output: Path) -> str:
    """Return the pattern of the names of the files that `output` may consist of."""
    return rf"{re.escape(output.stem)}(-\d+-of-\d+)?{re.escape(output.suffix)}({re.escape(INDEX)})?"


def draft_path(path: Path) -> Path:
    """Return a hidden name for what will be called `path`."""
    return path.parent / f".{within(path.name)}.{os.urandom(4).hex()}.tmp"


def within(name: str) -> str:
    """Return `name`, or one for it that leaves room for a few characters more where names have at most 255 bytes."""
    data = os.fsencode(name)
    return name if len(data) <= _LONGEST else f"{os.fsdecode(data[: _LONGEST - 9])}.{crc32(data):08x}"


def hold(descriptor: int) -> bool:
    """Mark what is open as a running process's; tell whether no other one holds it."""
    if flock is None:
        return True
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def remove_drafts(output: Path) -> None:
    """Remove drafts of `output` and of its shards that no running process holds."""
    name = re.compile(rf"\.({belongs_to(output)}|{re.escape(within(output.name))})\.[0-9a-f]{{8}}\.tmp")
    drafts: list[Path] = []
    with contextlib.suppress(OSError):
        drafts = [path for path in output.parent.iterdir() if name.fullmatch(path.name)]
    for path in drafts if flock is not None else []:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if hold(descriptor):
                    remove(path)
            finally:
                os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
