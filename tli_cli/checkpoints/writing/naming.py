"""Giving several files, or a directory, their names so that after a kill at any moment the old ones can be had back.

What was there is moved aside under hidden names, and a hidden note says so. One more line in the note makes the change
final once all new names are given. Who reads and finds a note without it is told; who writes there again takes back
what the note says, or removes what was left aside, unless a running process holds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tli_cli.checkpoints.files import read_small
from tli_cli.checkpoints.writing.drafts import INDEX, belongs_to, hold, remove, remove_drafts, within
from tli_cli.errors import CheckpointError

NOTE = ".naming"
"""How the name of a note ends; it begins with a dot and the output's name."""

_FINAL = b"\nall named\n"
_MAX_NOTE = 64 << 20


@dataclass(frozen=True)
class _Change:
    """What a note says: the names that are given in `home`, and where what had one of them, or goes, is kept."""

    home: Path
    given: tuple[str, ...]
    aside: dict[str, str]

    def move_aside(self) -> None:
        """Take the names from what has them."""
        for name, kept in self.aside.items():
            (self.home / name).rename(self.home / kept)

    def _take_back(self) -> None:
        """Put back what was there; an index, which is moved aside first, comes last."""
        for name in self.given:
            if name not in self.aside:
                remove(self.home / name)
        for name, kept in reversed(self.aside.items()):
            if not (self.home / kept).exists():  # it was never moved
                continue
            if (self.home / name).is_dir():  # only a file gives way to what is renamed
                remove(self.home / name)
            (self.home / kept).rename(self.home / name)

    def finish(self, final: bool) -> None:
        """Remove what was there, or put it back."""
        if not final:
            self._take_back()
        for kept in self.aside.values():
            remove(self.home / kept)


@contextlib.contextmanager
def naming(output: Path, given: Sequence[Path], replaced: Sequence[Path]) -> Iterator[Callable[[], None]]:
    """Move `replaced` aside, those of `given` too that exist, and give back what makes the change final.

    Where the block ends before that, everything is as it was.
    """
    token = os.urandom(4).hex()
    aside = {path.name: aside_name(path.name, token) for path in replaced}
    change = _Change(output.parent, tuple(path.name for path in given), aside)
    note = note_path(output)
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    final = False

    def make_final() -> None:
        nonlocal final
        os.write(descriptor, _FINAL)
        os.fsync(descriptor)
        final = True

    try:
        hold(descriptor)
        os.write(descriptor, json.dumps({"given": change.given, "aside": change.aside}).encode())
        os.fsync(descriptor)
        change.move_aside()
        yield make_final
    finally:
        change.finish(final)
        note.unlink(missing_ok=True)
        os.close(descriptor)


def aside_name(name: str, token: str = "0" * 8) -> str:
    """Return what a file is called that had `name`, until another one has it."""
    return f".{name}.{token}.old"


def note_path(output: Path) -> Path:
    """Return the name of the note on `output`."""
    return output.with_name(f".{within(output.name)}{NOTE}")


def require_named(path: Path) -> None:
    """Raise `CheckpointError` where what `path` names, or a checkpoint in it, is in the middle of getting its names."""
    if path.is_dir():
        notes = sorted(path.glob(f".*{NOTE}"))
    else:
        notes = [note_path(path.with_name(path.name.removesuffix(INDEX)))]
    for note in notes:
        if note.exists() and not read_small(note, _MAX_NOTE, "a note").endswith(_FINAL):
            name = note.name[1:].removesuffix(NOTE)
            raise CheckpointError(
                f"{path}: {name} is being written, or a tli that wrote it was killed while it named the files: "
                "run that command again, which first puts back what was there"
            )


def recover(output: Path) -> None:
    """Take back what a process did that was killed while it gave the files of `output` their names, and remove what one
    left that was killed before.

    Raises:
        CheckpointError: another process is at it, or the note is not one of these.
    """
    remove_drafts(output)
    note = note_path(output)
    if not note.exists():
        return
    descriptor = os.open(note, os.O_RDONLY)
    try:
        if not hold(descriptor):
            raise CheckpointError(f"{output}: another tli is writing it now; choose another name, or wait")
        text = read_small(note, _MAX_NOTE, "a note")
        change = _read(text.removesuffix(_FINAL), note, output)
        if change is not None:
            change.finish(text.endswith(_FINAL))
        note.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _read(text: bytes, note: Path, output: Path) -> _Change | None:
    """Return what `note` says; None if it was not finished, so that nothing was done yet."""
    try:
        raw = json.loads(text)
        change = _Change(note.parent, tuple(raw["given"]), dict(raw["aside"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    allowed = re.compile(belongs_to(output))
    kept = [re.fullmatch(r"\.(.*)\.[0-9a-f]{8}\.old", str(name)) for name in change.aside.values()]
    names = [*change.given, *change.aside, *(match[1] if match else None for match in kept)]
    if not all(isinstance(name, str) and allowed.fullmatch(name) for name in names):
        raise CheckpointError(f"{note}: names files that are not of {output.name}; it is not tli's: remove it")
    return change
