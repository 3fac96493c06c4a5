"""Which source row feeds which row of the classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from tli_cli.errors import TliError
from tli_cli.options import Labels
from tli_cli.planning.row_files import pairs_in
from tli_cli.registry import did_you_mean

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
