"""Rows of blocks of which one concatenation takes what each gives, as in ELAN (arXiv 2211.04800): blocks are added
behind all that the source has, so that what these take and give stays as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tli_cli.describe.walks import walked
from tli_cli.matching.segments import Block
from tli_cli.matching.sides import Side


def gathered_rows(side: Side) -> Iterator[list[str]]:
    """Yield the names of the blocks of each numbered row of which one concatenation takes what each gives."""
    graph = side.architecture.graph
    home = {unit.place: block.name for block in side.blocks for unit in block.units}
    rows: dict[str, list[str]] = defaultdict(list)
    for block in side.blocks:
        rows[_row(block)].append(block.name)
    held = [
        {home.get(graph[max(_makers(side, i), default=i)].layer, "") for i in node.inputs}
        for node in graph
        if node.op == "cat" and len(node.inputs) > 2
    ]
    yield from (names for row, names in rows.items() if row and any(blocks.issuperset(names) for blocks in held))


def _row(block: Block) -> str:
    row, _, number = block.name.rpartition(".")
    return row if number.isdecimal() else ""


def _makers(side: Side, node: int) -> Sequence[int]:
    """Return the nodes of the layers that give a value, as it is, in sums or through operations without weights."""
    graph = side.architecture.graph
    found = walked([node], lambda i: graph[i].inputs if graph[i].layer < 0 and graph[i].op != "cat" else ())
    return [i for i in found if graph[i].layer >= 0]
