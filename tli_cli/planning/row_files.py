"""The pairs of rows, or of labels, that a file lists for a classifier: of the target and of the source."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from tli_cli.errors import TliError
from tli_cli.texts import read_json, read_text

EXPECTED = "`target-row source-row` a line"
SIDES = ["source", "target"]
"""What the columns of a table are called, in the order of the alphabet."""
OTHERWISE = (
    "a tab or a comma parts labels that hold spaces; a list of the classes goes to --target-labels or --source-labels, "
    "with --head map"
)

Pair = tuple[str, str, str]
"""Where a pair stands, and what stands there for the target and for the source."""


def pairs_in(name: str) -> Iterator[Pair]:
    """Yield the pairs in a file: one a line, or in JSON as `{"target": "source"}` or `[["target", "source"]]`.

    A tab or a comma parts labels that hold spaces. Empty lines, and lines that start with `#`, are passed over, and a
    first line `target,source` or `source,target` says which column is whose.

    Raises:
        TliError: the file cannot be read, or is not of that form.
    """
    yield from _of_json(name) if name.casefold().endswith(".json") else _of_lines(name)


def _of_lines(name: str) -> Iterator[Pair]:
    turned, first = False, True
    for number, line in enumerate(read_text(name, EXPECTED).split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where, words = f"{name}, line {number}, {line.strip()[:80]!r}", _words(line)
        sides = [word.casefold().removesuffix("_row") for word in words]
        if first and sorted(sides) == SIDES:
            turned = sides == SIDES
        elif len(words) != 2:
            raise TliError(f"{where}: expected `target-row source-row`, or labels in the place of rows; {OTHERWISE}")
        else:
            yield (where, *(words[::-1] if turned else words))  # type: ignore[misc]
        first = False


def _words(line: str) -> list[str]:
    """Return what stands on a line, parted by tabs, else by commas, else by spaces."""
    mark = next((mark for mark in "\t," if mark in line), None)
    return [word.strip() for word in next(csv.reader([line], delimiter=mark))] if mark else line.split()


def _of_json(name: str) -> Iterator[Pair]:
    raw = read_json(name, "pairs of rows")
    listed = list(raw.items()) if isinstance(raw, dict) else raw
    if not isinstance(listed, list) or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in listed):
        raise TliError(f'{name}: expected {{"target": "source", ...}} or [["target", "source"], ...]; {OTHERWISE}')
    yield from ((f"{name}, pair {i}", str(wanted), str(taken)) for i, (wanted, taken) in enumerate(listed, 1))
