"""Small text files that commands read and write."""

from __future__ import annotations

import sys
from pathlib import Path

from tli_cli.errors import PlanError, TliError
from tli_cli.plan import MAX_LENGTH, Plan


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write `text` to `path` in one move; raise `TliError` if something is there and `force` is not given."""
    write_new_bytes(path, text.encode(), force=force)


def write_new_bytes(path: Path, data: bytes, *, force: bool) -> None:
    """Write `data` to `path` in one move; raise `TliError` if something is there and `force` is not given."""
    check_new(path, force=force)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        raise TliError(f"{path}: cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        draft.unlink(missing_ok=True)


def check_new(path: Path, *, force: bool) -> None:
    """Raise `TliError` unless a file can be put at `path`: before long work, not after it."""
    if path.is_dir() or not path.parent.is_dir():
        raise TliError(f"{path}: expected a file in a directory that is there")
    if path.exists() and not force:
        raise TliError(f"{path}: already there; use --force to replace it, or another name")


def read_plan(name: str) -> Plan:
    """Return the plan in the file called `name`, or from standard input if that is `-`."""
    try:
        return Plan.from_json(_read_text(name))
    except UnicodeDecodeError as error:
        raise PlanError(f"{name}: not a plan: expected UTF-8 text; make one with `tli match -o plan.json`") from error
    except PlanError as error:
        raise PlanError(f"{'standard input' if name == '-' else name}: {error}") from error


def _read_text(name: str) -> str:
    """Return the text of a plan, and no more of it than shows that it is too long."""
    if name == "-":
        return sys.stdin.read(MAX_LENGTH + 1)
    with Path(name).open(encoding="utf-8") as file:
        return file.read(MAX_LENGTH + 1)
