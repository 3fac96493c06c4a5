"""What each row of a table is made of, as text: short enough for a plan, and readable.

Words stand for rows in order: `7` is row 7 of the source, `7..9` are rows 7 to 9, `3+9` is the mean of rows 3 and 9,
`*` the mean of all rows, `-` no row. Behind a word, `:5` says that there are five of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tli_cli.axis_maps.mixtures import MIXED, Mixtures
from tli_cli.axis_maps.take import MEAN
from tli_cli.errors import PlanError

MAX_PARTS = 256
"""The most rows that one is the mean of."""

_WORD = re.compile(r"(?:(\d{1,9})(?:\.\.(\d{1,9}))?|(\d{1,9}(?:\+\d{1,9})+)|([*-]))(?::(\d{1,9}))?", re.ASCII)
_ALONE = {"*": MEAN, "-": -1}


def listed(rows: Iterable[Sequence[int]]) -> str:
    """Return `rows`, each the source's rows that it is the mean of and empty for all of them, as text."""
    counted = ((word, sum(1 for _ in group)) for word, group in groupby(_words(rows)))
    return " ".join(word if count == 1 else f"{word}:{count}" for word, count in counted)


def _words(rows: Iterable[Sequence[int]]) -> Iterator[str]:
    first = last = -2
    for row in rows:
        if len(row) == 1 and row[0] == last + 1:
            last = row[0]
            continue
        yield from _run(first, last)
        first = last = row[0] if len(row) == 1 else -2
        if len(row) != 1:
            yield "+".join(map(str, row)) if row else "*"
    yield from _run(first, last)


def _run(first: int, last: int) -> Iterator[str]:
    if first >= 0:
        yield str(first) if first == last else f"{first}..{last}"


def parsed(text: str, rows: int, columns: int) -> tuple[Any, Mixtures | None]:
    """Return the source index of each of `rows` target indices, with -1 for none and `MEAN` and `MIXED` for means, and
    the mixtures if there are any.

    Raises:
        PlanError: the text is not of that form, or not of that many rows out of `columns`.
    """
    index = np.full(rows, -1, dtype=np.int64)
    mixed: list[int] = []
    parts: list[list[int]] = []
    at = 0
    for word in text.split():
        found = _WORD.fullmatch(word)
        if found is None:
            raise PlanError(f"{word[:40]!a} is no row: expected one such as 7, 7..9, 3+9, * or -, and `:5` for five")
        first, last, sum_, alone, repeated = found.groups()
        count = int(repeated or 1)
        length = int(last) - int(first) + 1 if last else 1
        if length < 1 or at + length * count > rows:
            raise PlanError(f"{word[:40]!a} at row {at}: expected {rows} rows, found more, or a range that runs down")
        taken = [int(part) for part in sum_.split("+")] if sum_ else [int(last or first)] if first else []
        if len(taken) > MAX_PARTS or any(part >= columns for part in taken):
            raise PlanError(f"{word[:40]!a} at row {at}: expected at most {MAX_PARTS} rows from 0 to {columns - 1}")
        stop = at + length * count
        if sum_:
            index[at:stop] = MIXED
            mixed += range(at, stop)
            parts += [taken] * count
        elif last:
            index[at:stop] = np.tile(np.arange(int(first), int(last) + 1), count)
        else:
            index[at:stop] = int(first) if first else _ALONE[alone]
        at = stop
    if at != rows:
        raise PlanError(f"expected {rows} rows, found {at}")
    return index, _mixtures(mixed, parts) if mixed else None


def _mixtures(rows: list[int], parts: list[list[int]]) -> Mixtures:
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    return Mixtures(np.array(rows), starts, np.array([row for part in parts for row in part], dtype=np.int64))
