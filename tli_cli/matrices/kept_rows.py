"""The rows of a matrix that are known, kept in a file of JSON lines so that a later run goes on from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from tli_cli.checkpoints.files import read_small
from tli_cli.errors import TliError

FORMAT = 1
MAX_FILE = 1 << 30


class KeptRows:
    """The rows in the file at `path`, or in none; a line that was cut off, or is no row, does not count.

    `key` stands for what the rows depend on, `count` is how many there are, each of as many scores.

    Raises:
        TliError: the file is of other models, or cannot be read or written.
    """

    def __init__(self, path: Path | None, key: str, count: int) -> None:
        self._path = path
        self.rows: dict[int, Sequence[float]] = {}
        if path is None:
            return
        header = json.dumps({"version": FORMAT, "key": key}) + "\n"
        text = _text(path)
        if header.startswith(text):
            _write(path, header, "w")
            return
        if not text.startswith(header):
            raise TliError(f"{path}: not begun with these models, this matcher and this tli; remove it or name another")
        for line in text.splitlines()[1:]:
            row = _read_line(line)
            target, scores = row.get("target"), row.get("scores")
            if isinstance(target, int) and target in range(count) and _are_scores(scores, count):
                self.rows[target] = scores
        if not text.endswith("\n"):
            _write(path, "\n")

    def add(self, target: int, scores: Sequence[float]) -> None:
        """Append a row to the file."""
        if self._path is not None:
            _write(self._path, json.dumps({"target": target, "scores": list(scores)}) + "\n")


def _text(path: Path) -> str:
    try:
        if not path.exists():
            return ""
        return read_small(path, MAX_FILE, "a file that an earlier --resume began").decode()
    except UnicodeDecodeError as error:
        raise TliError(f"{path}: not begun by --resume: expected text, found other bytes; name another") from error
    except OSError as error:
        raise TliError(f"{path}: cannot be read: {error.strerror}; name another file") from error


def _write(path: Path, text: str, mode: str = "a") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise TliError(
            f"{path}: cannot be written: {said}; the rows in it count: make room and run again, or name another file"
        ) from error


def _are_scores(value: Any, count: int) -> TypeGuard[list[float]]:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(v, (int, float)) and 0 <= v <= 1 for v in value)
    )


def _read_line(line: str) -> dict[str, Any]:
    """Return the object in a line; nothing of a line that was cut off."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
