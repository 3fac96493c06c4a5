"""Layers of bare checkpoints in blocks of two streams that attend to each other, as image and text do, of which names
do not show that they are of the same one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from tli_cli.describe.spelling import unnumbered
from tli_cli.describe.vocabulary_places import module_places
from tli_cli.grouping import grouped
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching

ATTENDING = frozenset({"q", "k", "v", "qkv", "kv", "q_norm", "k_norm"})
"""Roles that a block holds once, but for attention to other sequences."""
UNTOLD = "nothing tells of which of two streams in its block it is"
OTHER = "by its name its partner is of the other stream in its block"


def untold_streams(matching: Matching) -> dict[int, str]:
    """Return for each of the target's layers in one of two streams, by place, why its partner may be of the other."""
    mine, theirs = _streams(matching.targets), _streams(matching.sources)
    found = {}
    for pair in matching.pairs:
        keys = pair.target.key in mine, pair.source.key in theirs
        here, there = mine.get(pair.target.key, ""), theirs.get(pair.source.key, "")
        if any(keys) and not (all(keys) and here and here == there):
            found[pair.target.place] = OTHER if here and there else UNTOLD
    return found


def _streams(units: Sequence[Unit]) -> dict[Key, str]:
    """Return for each unit beside which one of its kind and shape stands in another stream which one it is in, ""
    where no name tells: two layers for one part of attention are of two streams."""
    found: dict[Key, str] = {}
    for beside in grouped((u for u in units if u.block != u.path), _alike).values():
        if len({unit.stream for unit in beside}) > 1:
            found |= {unit.key: unit.stream or "first" for unit in beside}
            continue
        for same in grouped((unit for unit in beside if unit.role in ATTENDING), lambda unit: unit.role).values():
            if len({unnumbered(unit.path) for unit in same}) > 1:
                found |= {unit.key: "" for unit in same}
    return found


def _alike(unit: Unit) -> Hashable:
    return unit.block, unit.kind, unit.shape, module_places(unit.path)
