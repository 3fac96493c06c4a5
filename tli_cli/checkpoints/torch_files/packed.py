"""A file of torch.save within an archive, as NeMo packs one with a model's settings (tar) and stable-baselines3 one
with an agent's (zip): read where it stands."""

from __future__ import annotations

import io
import os
import re
import struct
import tarfile
import zipfile
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from tli_cli.checkpoints.torch_files.archive import EXPORTED, data_offset
from tli_cli.errors import CheckpointError

WEIGHTS = (".ckpt", ".pt", ".pth", ".bin")
_MOST_MEMBERS = 10_000
_NAME_AT = 30
_TRAINING = re.compile(r"optimi[sz]er|scheduler|scaler|rng_state|variables")
"""How files of training state are called that stand beside the one of weights."""


class Window(io.RawIOBase):
    """The `size` bytes of an open file from `start` on, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self.size, self._at = file, start, size, 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the start, from where it is, or from the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence, self.size)
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as there are bytes; return how many there were."""
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), max(self.size - self._at, 0)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _first_member(file: BinaryIO) -> bytes:
    """Return what the first member of a zip archive is called."""
    return file.read(int.from_bytes(file.read(_NAME_AT)[-4:-2], "little"))


def zipped_weights(path: Path) -> tuple[int, int] | None:
    """Return where the one file of weights in the zip archive at `path` begins, and how long it is; None where it holds
    none or several of them, packs them, or is damaged, and of the archives that torch itself writes."""
    try:
        with path.open("rb") as file:
            if _first_member(file).endswith(b"/data.pkl"):  # as torch begins, which is read without a look at all
                return None
            members = zipfile.ZipFile(file).infolist()
            if len(members) > _MOST_MEMBERS or any(m.filename.endswith(("data.pkl", *EXPORTED)) for m in members):
                return None
            plain = (m for m in members if m.filename.endswith(WEIGHTS) and not _TRAINING.search(m.filename))
            found = [(m.compress_type, data_offset(file, m), m.file_size) for m in plain]
    except (zipfile.BadZipFile, OSError, struct.error, ValueError, RuntimeError, EOFError):
        return None
    if len(found) != 1 or found[0][0] != zipfile.ZIP_STORED or sum(found[0][1:]) > path.stat().st_size:
        return None
    return found[0][1:]


def weights_in(path: Path) -> tuple[int, int]:
    """Return where the one file of weights in the tar archive at `path` begins, and how long it is.

    Raises:
        CheckpointError: it is damaged, or holds none or several of them.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            members = list(islice(archive, _MOST_MEMBERS))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        said = f"the tar archive is damaged ({str(error)[:80]}); make or download it again"
        raise CheckpointError(f"{path}: {said}") from error
    found = [m for m in members if m.isreg() and not m.issparse() and m.name.endswith(WEIGHTS)]
    if len(found) != 1 or found[0].offset_data + found[0].size > path.stat().st_size:
        names = ", ".join(ascii(member.name[:40])[1:-1] for member in (found or members)[:4]) or "nothing"
        raise CheckpointError(
            f"{path}: expected a tar archive of one file of weights ({', '.join(WEIGHTS)}), found {names}; unpack it, "
            "and name the checkpoint in it"
        )
    return found[0].offset_data, found[0].size
