"""Directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tli_cli.checkpoints.writing.drafts import draft_path, hold
from tli_cli.checkpoints.writing.naming import naming, recover
from tli_cli.checkpoints.writing.output import sync_directory
from tli_cli.checkpoints.writing.ranks import Ranks
from tli_cli.errors import CheckpointError


@contextmanager
def pending_directory(out: Path, ranks: Ranks, *, force: bool, require_own: Callable[[], None]) -> Iterator[Path]:
    """Give a hidden directory that gets the name `out` when the block has ended in every one of the `ranks`.

    What has the name gives way with `force` alone, and where `require_own` raises nothing; an empty directory always
    does.

    Raises:
        CheckpointError: where `out` is there and stays, or the directory cannot be written.
    """
    with ranks.step():
        if ranks.is_first:
            recover(out)
    if (out.exists() or out.is_symlink()) and not _is_empty(out):
        if not force:
            raise CheckpointError(f"{out}: exists already; use --force to replace it, or choose another name")
        require_own()
    draft = Path(ranks.gathered(str(draft_path(out)))[0])
    held = None
    try:
        with ranks.step():
            draft.mkdir(exist_ok=True)
            if ranks.is_first:
                held = os.open(draft, os.O_RDONLY)
                hold(held)
        yield draft
        with ranks.step():
            if ranks.is_first:
                _publish(draft, out)
    except OSError as error:
        raise CheckpointError(f"{out}: could not be written: {error.strerror or error}; nothing was written") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if held is not None:
            os.close(held)


def write_whole(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _is_empty(out: Path) -> bool:
    return out.is_dir() and not out.is_symlink() and not any(out.iterdir())


def _publish(draft: Path, out: Path) -> None:
    """Give the directory its name; what has it is moved aside first and removed after."""
    sync_directory(draft)
    if out.exists() and not _is_empty(out):
        with naming(out, [out], [out]) as make_final:
            draft.rename(out)
            make_final()
    else:
        draft.rename(out)
    sync_directory(out.parent)
