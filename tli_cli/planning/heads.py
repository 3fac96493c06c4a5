"""Which source row feeds which row of the classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tli_cli.errors import TliError


def parse_head(head: str) -> Mapping[int, int]:
    """Return target row -> source row for `map:FILE`, empty for `fresh` and `keep`.

    The file has one `target-row source-row` pair a line; empty lines and lines that start with `#` are passed over.

    Raises:
        TliError: the choice is unknown, or the file is not of that form.
    """
    choice, _, name = head.partition(":")
    if choice in ("fresh", "keep") and not name:
        return {}
    if choice != "map" or not name:
        raise TliError(f"--head {head}: expected fresh, keep, or map:FILE")
    try:
        lines = Path(name).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TliError(f"--head {head}: {name} cannot be read: {error}") from error
    rows: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            raise TliError(f"{name}, line {number}: expected `target-row source-row`, found {line.strip()!r}")
        if int(words[0]) in rows:
            raise TliError(f"{name}, line {number}: target row {words[0]} stands there twice")
        rows[int(words[0])] = int(words[1])
    return rows
