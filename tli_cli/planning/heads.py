"""Which source row feeds which row of the classifier: by the pairs that a file lists, or by labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tli_cli.errors import TliError
from tli_cli.options import Labels
from tli_cli.registry import did_you_mean
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


NO_LABELS: Labels = MappingProxyType({})


def parse_head(head: str, mine: Labels = NO_LABELS, theirs: Labels = NO_LABELS) -> Mapping[int, int]:
    """Return target row -> source row for `map` and `map:FILE`, empty for `auto`, `fresh` and `keep`.

    `map` takes the rows of the classes that are called alike, by the labels of the target and of the source. The file
    has pairs, of the target and of the source, each a row or a label.

    Raises:
        TliError: the choice is unknown, the file is not of that form, or labels are not known.
    """
    choice, _, name = head.partition(":")
    if choice in ("auto", "fresh", "keep") and not name:
        return {}
    if head == "map":
        return _alike(mine, theirs)
    if choice != "map" or not name:
        raise TliError(f"--head {head}: expected auto, fresh, keep, map, or map:FILE")
    rows: dict[int, int] = {}
    for where, first, second in pairs_in(name):
        wanted, taken = _row(first, mine, "target", where), _row(second, theirs, "source", where)
        if wanted in rows:
            raise TliError(f"{where}: target row {first} stands there twice")
        rows[wanted] = taken
    if not rows:
        raise TliError(f"--head {head}: expected a line `target-row source-row` in {name}, found none")
    return rows


def _alike(mine: Labels, theirs: Labels) -> Mapping[int, int]:
    sides = [side for side, labels in (("source", theirs), ("target", mine)) if not labels]
    if sides:
        raise TliError(
            f"--head map: the labels of the {' and of the '.join(sides)} are not known: expected id2label in the "
            f"config.json beside it, or a list, {' and '.join(f'--{side}-labels FILE' for side in sides)}; "
            "--head map:FILE names rows"
        )
    lower = {name.casefold(): row for name, row in theirs.items()}
    found = {row: theirs.get(name, lower.get(name.casefold(), -1)) for name, row in mine.items()}
    rows = {row: taken for row, taken in found.items() if taken >= 0}
    if not rows:
        raise TliError("--head map: no label of the target is one of the source; --head map:FILE names rows")
    return rows


def other_labels(mine: Labels, theirs: Labels) -> tuple[str, ...]:
    """Return what is said where as many classes are called otherwise; nothing where their rows are not copied."""
    names = {row: name for name, row in theirs.items()}
    other = [name for name, row in mine.items() if names.get(row, "").casefold() != name.casefold()]
    if not other or not theirs or len(mine) != len(theirs):
        return ()
    return (
        f"{len(other)} of {len(mine)} classes are not called as in the source, such as {other[0][:40]!r} in row "
        f"{mine[other[0]]}; --head map takes rows by label",
    )


def _row(word: str, labels: Labels, side: str, where: str) -> int:
    """Return the row that `word` names; a label goes before a number."""
    if word in labels:
        return labels[word]
    if re.fullmatch(r"\d{1,9}", word, re.ASCII):
        return int(word)
    hint = did_you_mean(word, labels) if labels else f"--{side}-labels FILE names them"
    known = f"a row or a label of the {side}" if labels else f"a row, for no labels of the {side} are known"
    raise TliError(f"{where}: expected {known}, found {word[:60]!r}{f'; {hint}' if hint else ''}")
