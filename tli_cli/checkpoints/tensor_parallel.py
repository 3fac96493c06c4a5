"""Checkpoints that tensor parallelism cut in parts, each of which holds a piece of every weight."""

from __future__ import annotations

import re
from pathlib import Path

from tli_cli.errors import CheckpointError

RANK = "mp_rank_"
"""What Megatron calls the directory, and DeepSpeed the file, of one part."""
_OF_RANK = re.compile(rf"(?P<before>{RANK}|consolidated\.)\d+(?P<behind>.*)")


def require_whole(path: Path) -> None:
    """Raise `CheckpointError` where the file at `path`, or the directory it is in, is one of several parts."""
    for place in (path, path.parent):
        match = _OF_RANK.fullmatch(place.name)
        beside = parts_beside(place, match["before"], match["behind"]) if match else []
        if len(beside) > 1:
            raise CheckpointError(cut(path, beside))


def parts_beside(place: Path, before: str, behind: str) -> list[str]:
    """Return the names beside `place`, and its own, that differ from it in the number of a part."""
    alike = re.compile(rf"{re.escape(before)}\d+(_\d+)*{re.escape(behind)}")
    try:
        return sorted(entry.name for entry in place.resolve().parent.iterdir() if alike.fullmatch(entry.name))
    except OSError:
        return []


def cut(where: Path, parts: list[str]) -> str:
    """Return the message for a checkpoint that is cut in `parts`."""
    shown = ", ".join(parts[:4]) + (" ..." if len(parts) > 4 else "")
    return (
        f"{where}: expected a whole checkpoint, found one that was cut in {len(parts)} parts for as many processes "
        f"({shown}), each with a piece of every weight; put them together with the converter of the project that wrote "
        "them, such as the one to the Hugging Face layout, and name what that writes"
    )
