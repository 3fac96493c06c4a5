"""Rows of blocks that may be counted from either end, and how the names of rows are compared."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from tli_cli.describe.vocabulary_places import DECODER, module_place
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.units import Unit

NUMBER = re.compile(r"(^|\.)([0-9]+)(\.|$)")
FIRST_NUMBER = re.compile(r"(.*?[^0-9.]?\.?)([0-9]+)(?=[._]|$)")


def undirected_blocks(units: Sequence[Unit]) -> frozenset[str]:
    """Return the blocks of decoders of maps, and of what joins maps of several widths that were brought to one, of
    which no width tells where they begin."""
    return _of_decoders(units) | _joining(units)


@lru_cache(maxsize=4096)
def row_of(block: str) -> str:
    """Return what the blocks of one row have in common: their name without numbers."""
    return re.sub(r"[0-9]+[a-z]?(?![a-z])", "#", block)


@lru_cache(maxsize=4096)
def spelled_row(block: str) -> str:
    """Return the row of a block however its words are joined."""
    return re.sub(r"[._]", "", row_of(block)).lower()


def _of_decoders(units: Sequence[Unit]) -> frozenset[str]:
    rows: dict[str, dict[str, list[Unit]]] = defaultdict(lambda: defaultdict(list))
    for unit in units:
        number = NUMBER.search(unit.block)
        if number and unit.kind == "conv" and module_place(unit.block[: number.start()])[0] == DECODER:
            rows[unit.block[: number.start()]][number[2]].append(unit)
    even = [row for row in rows.values() if len(row) > 1 and len({made[-1].shape[0] for made in row.values()}) == 1]
    return frozenset(unit.block for row in even for made in row.values() for unit in made)


def _joining(units: Sequence[Unit]) -> frozenset[str]:
    """Return the blocks of rows of several layers and one width each, as many as bring maps to that width."""
    rows: dict[str, dict[str, list[Unit]]] = defaultdict(lambda: defaultdict(list))
    for unit in units:
        number = FIRST_NUMBER.match(unit.path) if unit.kind in WEIGHTED else None
        if number:
            rows[number[1]][number[2]].append(unit)
    held = [list(row.values()) for row in rows.values()]
    single = [[unit for (unit,) in row] for row in held if all(len(made) == 1 for made in row)]
    brought = {(len(row), row[0].shape[0]) for row in single if len({u.taken for u in row} - {row[0].shape[0]}) > 1}
    several = [
        row
        for row in held
        if len({frozenset(Counter(u.exact_label for u in made).items()) for made in row}) == 1
        and any((len(row), made[0].shape[0]) in brought and len(made) > 1 for made in row)
    ]
    return frozenset(unit.block for row in several for made in row for unit in made)
