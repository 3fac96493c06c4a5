"""Rows of blocks of which one concatenation takes what each gives, as in ELAN (arXiv 2211.04800)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tli_cli.matching.sides import Side


def gathered_rows(side: Side) -> Iterator[list[str]]:
    """Yield the names of the blocks of each numbered row of which one concatenation takes what each gives."""
    home = {unit.place: block.name for block in side.blocks for unit in block.units}
    rows: dict[str, list[str]] = defaultdict(list)
    for row, _, number in (block.name.rpartition(".") for block in side.blocks):
        rows[row].extend([f"{row}.{number}"] if row and number.isdecimal() else [])
    last: list[int] = []
    held: list[set[str]] = []
    for node in side.architecture.graph:
        last.append(node.layer if node.layer >= 0 else last[max(node.inputs)] if node.inputs else -1)
        held += [{home.get(last[i], "") for i in node.inputs}] if node.op == "cat" and len(node.inputs) > 2 else []
    yield from (names for names in rows.values() if names and any(blocks.issuperset(names) for blocks in held))
