"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from tli_cli.checkpoints.files import FileRange
from tli_cli.errors import CheckpointError

_BLOCK = 1 << 22
_MAX_COPY = 1 << 30
_NO_KERNEL_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})


class PendingFile:
    """A file that gets its name when it is complete.

    Where the system can, it has no name before that, so that nothing is left behind even when the process is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary: Path | None = None
        try:
            self.descriptor = self._open()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written: {error.strerror}; choose another place") from error

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view[:_MAX_COPY]) :]

    def copy(self, piece: FileRange) -> None:
        """Append the bytes of `piece`, inside the kernel where it can."""
        source = os.open(piece.path, os.O_RDONLY)
        try:
            self.copy_from(source, piece.offset, piece.length)
        finally:
            os.close(source)

    def copy_from(self, source: int, offset: int, length: int) -> None:
        """Append `length` bytes of the file open as `source`, from `offset` on."""
        end = offset + length
        by_kernel = hasattr(os, "copy_file_range")
        while offset < end:
            try:
                done = self._copy_some(source, offset, min(end - offset, _MAX_COPY), by_kernel)
            except OSError as error:
                if not by_kernel or error.errno not in _NO_KERNEL_COPY:
                    raise
                by_kernel = False
                continue
            if done == 0:
                raise CheckpointError("a source became shorter while it was copied; run again when it is at rest")
            offset += done

    def _copy_some(self, source: int, offset: int, length: int, by_kernel: bool) -> int:
        if by_kernel:
            return os.copy_file_range(source, self.descriptor, length, offset)
        block = os.pread(source, min(length, _BLOCK), offset)
        self.write(block)
        return len(block)

    def flush(self) -> None:
        """Wait until the content is on the disk."""
        os.fsync(self.descriptor)

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
    return path.parent / f".{path.name[:200]}.{secrets.token_hex(4)}.tmp"


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
