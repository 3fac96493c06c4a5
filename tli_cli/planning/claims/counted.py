"""Layers whose names differ in numbers alone: where both sides count as many, their order tells which is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import natural, unnumbered
from tli_cli.grouping import grouped
from tli_cli.matching.units import Unit


def counted_alike(targets: Sequence[Unit], sources: Sequence[Unit], pairs: Sequence[tuple[Unit, Unit]]) -> set[int]:
    """Return the target's layers, by place, in whole rows whose names differ in numbers alone on both sides, and that
    are fed in the order of these."""
    held = [Counter(map(_row_of, units)) for units in (targets, sources)]
    found: set[int] = set()
    for (mine, theirs), row in grouped(pairs, lambda pair: (_row_of(pair[0]), _row_of(pair[1]))).items():
        ranks = [sorted(range(len(row)), key=lambda i: natural(row[i][side].path)) for side in (0, 1)]
        if held[0][mine] == held[1][theirs] == len(row) > 1 and ranks[0] == ranks[1]:
            found |= {target.place for target, _ in row}
    return found


def differ_by_number(path: str, *others: str) -> bool:
    """Tell whether one of `others` differs from a path in its numbers alone."""
    return unnumbered(path) in map(unnumbered, others)


def home_of(unit: Unit) -> str:
    """Return the block of a unit, or the module around one that is a block itself."""
    return unit.block if unit.block != unit.path else unit.path.rpartition(".")[0]


def readers_of(architecture: Architecture, index: int) -> list[str]:
    """Return what takes the value of a node, in words that two layers of one use have in common."""
    return sorted(architecture.kinds[reader] or architecture.graph[reader].op for reader in architecture.readers[index])


def _row_of(unit: Unit) -> Hashable:
    """Return what units have in common whose names in one module differ in numbers alone."""
    return home_of(unit), unit.kind, unit.shape, unnumbered(unit.path)
