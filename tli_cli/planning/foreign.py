"""What is built around a network takes nothing from its inside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.matching.bags import overlap
from tli_cli.matching.segments import Block, blocks_of
from tli_cli.matching.units import main_tensor
from tli_cli.matching.values import Matching

OF_ONE_KIND = 0.75
"""The share of their layers that two blocks have in common, sizes apart, of which one may be a copy of the other."""


def without_foreign(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` without the pairs by which a source block feeds a block that it is not like, where it has a
    twin in the target: a pyramid, a decoder or a head beside the same backbone.

    Rows of classes feed no channels, nor channels rows of classes.
    """
    foreign = _unlike_twins(matching) | {
        pair.target.key
        for pair in matching.pairs
        if pair.target.shape != pair.source.shape
        and class_rows(target, pair.target.place) != class_rows(source, pair.source.place)
    }
    kept = tuple(pair for pair in matching.pairs if pair.target.key not in foreign or pair.anchored)
    if len(kept) == len(matching.pairs):
        return matching
    left = {pair.target.key for pair in kept}
    lost = {pair.target.key for pair in matching.pairs} - left
    keys = {block.name: {unit.key for unit in block.units} for block in blocks_of(matching.targets)}
    alone = {name for name, members in keys.items() if members & lost and not members & left}
    return replace(matching, pairs=kept, added_blocks=matching.added_blocks - alone)


def class_rows(architecture: Architecture, place: int) -> bool:
    """Tell whether the rows of a layer are classes."""
    name = main_tensor(architecture.layers[place])
    made = (axis.tree for axis in architecture.axes.get(name or "", ()) if not axis.contracted)
    return any(architecture.spaces[leaf].kind == "classes" for tree in made for leaf in leaves(tree))


def _unlike_twins(matching: Matching) -> set[tuple[int, int]]:
    home = {unit.key: block for block in blocks_of(matching.sources) for unit in block.units}
    blocks = blocks_of(matching.targets)
    given = {pair.target.key: pair.source.key for pair in matching.pairs}
    twins = {s.name: t.name for t in blocks if (s := _feeder(t, given, home)) is not None and _are_twins(t, s)}
    foreign: set[tuple[int, int]] = set()
    for block in blocks:
        for unit in block.units:
            s = home.get(given[unit.key]) if unit.key in given else None
            if s is not None and twins.get(s.name, block.name) != block.name:
                foreign |= {unit.key} if overlap(block.forms, s.forms) < OF_ONE_KIND else set()
    return foreign


def _feeder(
    block: Block, given: dict[tuple[int, int], tuple[int, int]], home: dict[tuple[int, int], Block]
) -> Block | None:
    """Return the source block that feeds the most units of `block`, if any does."""
    votes = Counter(home[given[unit.key]].name for unit in block.units if unit.key in given)
    name = max(votes, key=votes.__getitem__, default="")
    return next((home[given[u.key]] for u in block.units if u.key in given and home[given[u.key]].name == name), None)


def _are_twins(block: Block, source: Block) -> bool:
    return block.weighted > 1 and overlap(block.shapes, source.shapes) == 1
