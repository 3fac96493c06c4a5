"""A network that stands whole within another one, whatever is built around it: a classifier in a detector, an encoder
before a decoder.

Everything that feeds a layer is the same on both sides then, up to where the smaller network ends; what is behind the
layer tells nothing, for what is around it reads it there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tli_cli.describe.spelling import unnumbered
from tli_cli.matching.blocks import BlockPair
from tli_cli.matching.namesakes import LIKE
from tli_cli.matching.segments import WEIGHTED, Block
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.told_apart import fed_alike
from tli_cli.matching.units import Key, Unit

FEEDING = (("before", "near behind"), ("before",))
"""What tells the layers of one place from each other: of several that take the same, what is near behind."""

OTHER_INPUT = (("form before", "own", "near behind"), ("form before", "own"))
"""The same where the networks take another number of channels, so that their first layers differ."""
FIRST = ("form before",)
"""What tells these."""

Pairs = Sequence[tuple[Unit, Unit]]
"""Target units and source units."""
Placed = tuple[Side, Collection[Key]]
"""A side and some of its units."""


def inside(source: Side, target: Side, named: Pairs = ()) -> Pairs:
    """Return (target unit, source unit) for all of the network that stands whole within the other one; none where
    neither does, and none of two of which one may be the other with more blocks.

    Where what feeds them differs, as behind another shortcut, the units of one name, `named`, that are of one shape
    count as that if they are nearly all of one network, or what both have around.
    """
    if not both_known(source, target):
        return []
    for tables in (FEEDING, OTHER_INPUT):
        pairs = _fed_alike(source, target, tables)
        if tables is OTHER_INPUT:
            mine, theirs = _first(target), _first(source)
            first = _fed_alike(source, target, (FIRST,))
            pairs = [*pairs, *((t, s) for t, s in first if t.key in mine and s.key in theirs)]
        if any(
            _is_whole(whole, held) and _is_around(whole, *other)
            for (whole, held), other in _ways(source, target, pairs)
        ):
            return pairs
    same = [(t, s) for t, s in named if t.exact_label == s.exact_label]
    return same if same and (_hold_most(source, target, same) or _are_within(source, target, same)) else []


def _hold_most(source: Side, target: Side, pairs: Pairs) -> bool:
    """Tell whether `pairs` are nearly all of one of two networks, and no block that the other one has besides stands in
    a row with any of them or feeds it."""
    return any(
        _is_whole(whole, held, LIKE) and not _go_on(other, place) and _are_behind(other, place)
        for (whole, held), (other, place) in _ways(source, target, pairs)
    )


def _are_within(source: Side, target: Side, pairs: Pairs) -> bool:
    """Tell whether each of two networks has blocks of its own besides `pairs`, none of them in a row with these."""
    sides = (target, {t.key for t, _ in pairs}), (source, {s.key for _, s in pairs})
    own = [any(block.weighted > 1 for block in _parted(side, keys)[1]) for side, keys in sides]
    return all(own) and not any(_go_on(*side) for side in sides)


def _go_on(side: Side, place: Collection[Key]) -> bool:
    """Tell whether blocks besides the units in `place` stand in a row with theirs: names differ in numbers alone."""
    within, besides = _parted(side, place)
    rows = {unnumbered(block.name) for block in within}
    return any(block.weighted and unnumbered(block.name) in rows for block in besides)


def _parted(side: Side, place: Collection[Key]) -> tuple[list[Block], list[Block]]:
    """Return the blocks that hold units in `place`, and the others."""
    within, besides = list[Block](), list[Block]()
    for block in side.blocks:
        (within if any(unit.key in place for unit in block.units) else besides).append(block)
    return within, besides


def _ways(source: Side, target: Side, pairs: Pairs) -> Sequence[tuple[Placed, Placed]]:
    """Return which side may stand within which, each with its units of `pairs`."""
    mine, theirs = (target, {t.key for t, _ in pairs}), (source, {s.key for _, s in pairs})
    return (theirs, mine), (mine, theirs)


def kept_apart(paired: Sequence[BlockPair], within: Sequence[tuple[Unit, Unit]]) -> list[BlockPair]:
    """Return `paired` without the blocks around a network that stands `within` the other one which its blocks feed."""
    mine, theirs = {t.key for t, _ in within}, {s.key for _, s in within}

    def is_of(block: Block, keys: set[Key]) -> bool:
        return any(unit.key in keys for unit in block.units)

    return [pair for pair in paired if is_of(pair.target, mine) == is_of(pair.source, theirs)]


def _fed_alike(source: Side, target: Side, tables: Sequence[tuple[str, ...]]) -> Pairs:
    """Return the units that everything before them is the same for, by the first of `tables` that tells them apart."""
    return [(t, s) for _, t, s, _ in fed_alike(source, target, tables)]


def _first(side: Side) -> set[Key]:
    """Return the units that take an input as it is."""
    behind, places = list[bool](), set[int]()
    for node in side.architecture.graph:
        fed = any(behind[i] for i in node.inputs)
        behind.append(fed or node.layer >= 0)
        places |= {node.layer} if node.layer >= 0 and not fed else set()
    return {unit.key for unit in side.units if unit.place in places}


def _is_whole(side: Side, held: Collection[Key], share: float = 1.0) -> bool:
    """Tell whether the units `held` are `share` of all that have weights but those of the head."""
    stem, body, _ = side.ends
    units = [unit for block in (*stem, *body) for unit in block.units if unit.kind in WEIGHTED]
    return bool(body) and sum(unit.key in held for unit in units) >= share * len(units)


def _is_around(whole: Side, other: Side, place: Collection[Key]) -> bool:
    """Tell whether what `other` has besides the units in `place` is no more of the same: none of its blocks is like one
    of theirs, and it ends otherwise than `whole` does or else only goes on where that ends, with other layers."""
    within, besides = _parted(other, place)
    shapes = {block.shapes for block in within}
    again = [block.weighted for block in besides if block.shapes in shapes]
    if any(weighted > 1 for weighted in again):
        return False
    return _end(whole) != _end(other) or (_taps(other, place) < 2 and not any(again))


def _are_behind(side: Side, place: Collection[Key]) -> bool:
    """Tell whether there are blocks besides the units in `place`, before the head, and none of them feeds these."""
    _, besides = _parted(side, place)
    around = {unit.place for block in besides for unit in block.units}
    head = {unit.place for block in side.ends[2] for unit in block.units}
    within = {key[0] for key in place}
    fed = list[bool]()
    for node in side.architecture.graph:
        fed.append(node.layer in around or any(fed[i] for i in node.inputs))
        if fed[-1] and node.layer in within:
            return False
    return not around <= head


def _taps(side: Side, place: Collection[Key]) -> int:
    """Return from how many layers in `place`, or sums of such, what is around them reads."""
    graph = side.architecture.graph
    within = {key[0] for key in place}
    inner, read = list[bool](), set[int]()
    for index, node in enumerate(graph):
        fed = [i for i in node.inputs if inner[i]]
        inner.append(node.layer in within or (node.layer < 0 and len(fed) == len(node.inputs)))
        if not inner[index]:
            read.update(i for i in fed if graph[i].inputs)
    return len(read)


def _end(side: Side) -> tuple[object, ...]:
    """Return what the last layer with weights is, and whether it gives one value for each place."""
    last = [unit for unit in side.units if unit.kind in WEIGHTED][-1:]
    return tuple((unit.kind, unit.positions > 1) for unit in last)
