"""Small text files that commands read and write."""

from __future__ import annotations

from pathlib import Path

from tli_cli.errors import PlanError, TliError
from tli_cli.plan import MAX_LENGTH, Plan
from tli_cli.texts import read_text


def write_new(path: Path, data: bytes, *, force: bool) -> None:
    """Write `data` to `path` in one move; raise `TliError` if something is there and `force` is not given."""
    from tli_cli.checkpoints.writing.output import PendingFile, pending_files

    target = check_new(path, force=force)
    try:
        with pending_files() as files:
            files.append(PendingFile(target, len(data)))
            files[0].write_at(memoryview(data), 0)
            files[0].flush()
            files[0].publish(replace=force)
    except OSError as error:
        raise TliError(f"{path}: cannot be written: {error.strerror or error}; choose another place") from error


def check_new(path: Path, *, force: bool) -> Path:
    """Return where a file is to be put that is called `path`; raise `TliError` unless it can be: before long work."""
    if str(path) == "-":
        raise TliError("-: expected a file to write; --json prints the plan to standard output")
    try:
        target = path.resolve()
        is_there, is_file, has_home = target.exists(), target.is_file(), target.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise TliError(f"{path}: cannot be written: {error}; choose another name") from error
    if not has_home:
        raise TliError(f"{path}: expected a file in a directory that is there; make {target.parent} first")
    if is_there and not is_file:
        raise TliError(
            f"{path}: expected a file in a directory that is there, found something else, which is not replaced"
        )
    if is_there and not force:
        raise TliError(f"{path}: exists already; use --force to replace it, or choose another name")
    return target


def read_plan(name: str) -> Plan:
    """Return the plan in the file called `name`, or from standard input if that is `-`."""
    text = read_text(name, "a plan as `tli match -o plan.json` writes it", MAX_LENGTH)
    try:
        return Plan.from_json(text)
    except PlanError as error:
        raise PlanError(f"{'standard input' if name == '-' else name}: {error}") from error
