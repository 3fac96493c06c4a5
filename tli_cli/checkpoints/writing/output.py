"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tli_cli.checkpoints.writing.drafts import draft_path, hold
from tli_cli.checkpoints.writing.naming import naming
from tli_cli.checkpoints.writing.ranks import Ranks
from tli_cli.errors import CheckpointError

PAGE = 4096
"""What is written past the system's cache starts, ends and lies in memory at multiples of this."""


class PendingFile:
    """A file of `size` bytes that gets its name when it is complete.

    Where the system can, it has no name before that, so that nothing is left behind even when the process is killed.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.temporary: Path | None = None
        self._direct: int | None = None
        try:
            self.descriptor = self._open()
            try:
                hold(self.descriptor)
                self._direct = self._past_the_cache()
                self._take_permissions()
                os.ftruncate(self.descriptor, size)
            except OSError:
                self.close()
                raise
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written: {error.strerror}; choose another place") from error

    def write_at(self, data: memoryview, position: int) -> None:
        """Put `data` at `position`; several threads may do so at once, each elsewhere.

        Whole pages go past the system's cache where it allows that: they are on the disk at once, by no work of the
        processor, and push nothing out of the cache. A page is written in one way only.
        """
        direct = self._direct if position % PAGE == 0 and len(data) % PAGE == 0 else None
        start, view = position, data
        while view:
            try:
                count = os.pwrite(self.descriptor if direct is None else direct, view, position)
            except OSError as error:
                if direct is None or error.errno != errno.EINVAL:
                    raise
                direct = None  # this file system takes no such writes after all
                continue
            view, position = view[count:], position + count
            direct = None if count % PAGE else direct
        if direct is None and hasattr(os, "posix_fadvise"):
            # has the system start to write what it holds, so that the wait at the end is short
            os.posix_fadvise(self.descriptor, start, len(data), os.POSIX_FADV_DONTNEED)

    def flush(self) -> None:
        """Wait until the content is on the disk."""
        os.fsync(self.descriptor)

    def publish(self, *, replace: bool = True) -> None:
        """Give the file its name, replacing what had it; raise `CheckpointError` for that unless `replace`."""
        if self.temporary is None:
            try:
                self._link(self.path)
                return
            except FileExistsError as error:
                if not replace:
                    raise CheckpointError(
                        f"{self.path}: something else wrote it meanwhile; it is as that left it: choose another name"
                    ) from error
                self.temporary = draft_path(self.path)
                self._link(self.temporary)
        os.replace(self.temporary, self.path)
        self.temporary = None

    def _link(self, path: Path) -> None:
        here = os.open(path.parent, os.O_RDONLY)
        try:  # a directory's descriptor makes Python follow the link, as naming an unnamed file needs
            os.link(f"/proc/self/fd/{self.descriptor}", path, src_dir_fd=here, follow_symlinks=True)
        finally:
            os.close(here)

    def close(self) -> None:
        """Close the file, and remove it unless it was published."""
        for descriptor in filter(None, (self._direct, self.descriptor)):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self.temporary is not None:
            with contextlib.suppress(OSError):
                self.temporary.unlink()

    def _open(self) -> int:
        if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                return os.open(self.path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        temporary = draft_path(self.path)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self.temporary = temporary
        return descriptor

    def _take_permissions(self) -> None:
        """Give the file the permissions of what it will replace: what only its owner may read stays so."""
        with contextlib.suppress(OSError):  # nothing is there, or the system has no such permissions
            os.fchmod(self.descriptor, self.path.stat().st_mode & 0o777)

    def _past_the_cache(self) -> int | None:
        """Return the file opened once more, for writing past the system's cache; None where that cannot be had."""
        if hasattr(os, "O_DIRECT"):
            with contextlib.suppress(OSError):
                return os.open(self.temporary or f"/proc/self/fd/{self.descriptor}", os.O_RDWR | os.O_DIRECT)
        return None


@contextlib.contextmanager
def pending_files() -> Iterator[list[PendingFile]]:
    """Hold files that are being written; whatever is not published by the end is removed."""
    files: list[PendingFile] = []
    try:
        yield files
    finally:
        for file in files:
            file.close()


def sync_directory(directory: Path) -> None:
    """Wait until the names in `directory` are on the disk, where the system allows to ask for it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish(
    output: Path,
    files: Sequence[PendingFile],
    results: Sequence[Path],
    existing: Sequence[Path],
    ranks: Ranks,
    *,
    force: bool,
) -> None:
    """Give all files their names, those of every rank; `results` are all of them, an index first.

    With several, what was there is moved aside until all have their names, the index last.
    """
    if len(results) == 1 and set(existing) <= set(results):
        files[0].publish(replace=force)  # one move
    else:
        with contextlib.ExitStack() as stack:
            with ranks.step():
                change = stack.enter_context(naming(output, results, existing)) if ranks.is_first else None
            with ranks.step():
                _name(file for file in files if file.path != results[0])
            with ranks.step():
                _name(file for file in files if file.path == results[0])
            if change is not None:
                change()
            ranks.gathered(None)
    sync_directory(results[0].parent)


def _name(files: Iterable[PendingFile]) -> None:
    for file in files:
        file.publish()
