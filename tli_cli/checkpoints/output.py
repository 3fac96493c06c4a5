"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.ranks import Ranks
from tli_cli.errors import CheckpointError, TliError

_BLOCK = 1 << 18
_FLUSH_STEP = 16 << 20
_MAX_WRITE = 1 << 30


class PendingFile:
    """A file that gets its name when it is complete.

    Where the system can, it has no name before that, so that nothing is left behind even when the process is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary: Path | None = None
        self._position = self._started = 0
        from concurrent.futures import ThreadPoolExecutor  # slow to import, and not needed to read

        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="flush")
        try:
            self.descriptor = self._open()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written: {error.strerror}; choose another place") from error

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        view = memoryview(data)
        while view:
            count = os.write(self.descriptor, view[:_MAX_WRITE])
            view = view[count:]
            self._advance(count)

    def copy(self, piece: FileRange) -> None:
        """Append the bytes of `piece`."""
        source = os.open(piece.path, os.O_RDONLY)
        try:
            self.copy_from(source, piece.offset, piece.length)
        finally:
            os.close(source)

    def copy_from(self, source: int, offset: int, length: int) -> None:
        """Append `length` bytes of the file open as `source`, from `offset` on."""
        # as fast as letting the kernel copy (measured), which works page by page where offsets are not aligned alike
        buffer = memoryview(bytearray(min(length, _BLOCK)))
        end = offset + length
        while offset < end:
            count = os.preadv(source, [buffer[: min(end - offset, _BLOCK)]], offset)
            if count == 0:
                raise CheckpointError("a source became shorter while it was copied; run again when it is at rest")
            self.write(buffer[:count])
            offset += count

    def flush(self) -> None:
        """Wait until the content is on the disk."""
        self._flusher.shutdown()
        os.fsync(self.descriptor)

    def _advance(self, count: int) -> None:
        """Have the system start to write what it holds, so that the wait at the end is short."""
        self._position += count
        if self._position - self._started >= _FLUSH_STEP and hasattr(os, "posix_fadvise"):
            length = self._position - self._started
            self._flusher.submit(os.posix_fadvise, self.descriptor, self._started, length, os.POSIX_FADV_DONTNEED)
            self._started = self._position

    def publish(self) -> None:
        """Give the file its name, replacing what had it."""
        if self.temporary is None:
            self.temporary = _temporary(self.path)
            here = os.open(self.path.parent, os.O_RDONLY)
            try:  # a directory's descriptor makes Python follow the link, as naming an unnamed file needs
                os.link(f"/proc/self/fd/{self.descriptor}", self.temporary, src_dir_fd=here, follow_symlinks=True)
            finally:
                os.close(here)
        os.replace(self.temporary, self.path)
        self.temporary = None

    def close(self) -> None:
        """Close the file, and remove it unless it was published."""
        self._flusher.shutdown(cancel_futures=True)
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        if self.temporary is not None:
            with contextlib.suppress(OSError):
                self.temporary.unlink()

    def _open(self) -> int:
        if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                return os.open(self.path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        temporary = _temporary(self.path)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self.temporary = temporary
        return descriptor


def _temporary(path: Path) -> Path:
    return path.parent / f".{path.name[:200]}.{os.urandom(4).hex()}.tmp"


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


def publish(files: Sequence[PendingFile], results: Sequence[Path], existing: Sequence[Path], ranks: Ranks) -> None:
    """Give all files their names, those of every rank; `results` are all of them, an index first.

    With several, no index is there while old and new shards stand side by side: it goes first and comes last.
    """
    index = [file for file in files if len(results) > 1 and file.path == results[0]]
    published: list[Path] = []
    try:
        with ranks.step():
            if ranks.is_first and len(results) > 1 and results[0] in existing:
                results[0].unlink()
        with ranks.step():
            _name([file for file in files if file not in index], published)
        _name(index, published)
        for path in existing if ranks.is_first else ():
            if path not in results:
                path.unlink()
        ranks.gathered(None)
    except (OSError, TliError):
        for path in published:
            path.unlink(missing_ok=True)
        raise
    sync_directory(results[0].parent)


def _name(files: Sequence[PendingFile], published: list[Path]) -> None:
    for file in files:
        file.publish()
        published.append(file.path)
