"""Pair blocks: stem with stem, head with head, then the blocks of paired stages in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

from tli_cli.describe.spelling import enclosing
from tli_cli.grouping import gathered, grouped
from tli_cli.matching.alignment import align
from tli_cli.matching.bags import overlap
from tli_cli.matching.segments import Block
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import StagePair
from tli_cli.noted import CONVOLUTION

T = TypeVar("T")
Partner = Mapping[Key, Key]
Manners = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class BlockPair:
    """A target block and the source block that feeds it; `repeat` where that feeds an earlier one as well.

    `sure` where anchors decide over most of the target block: libraries cut one block in several.
    """

    target: Block
    source: Block
    repeat: bool = False
    sure: bool = False


BLOCK, BLOCK_FORMS, BLOCK_SHAPES = 0.05, 0.65, 0.3
"""What being blocks, and the forms and the shapes of their layers, count of how alike two blocks are."""
DISPLACED = 0.04
"""What it costs a pair of blocks to stand at opposite ends of their stages."""
OTHERWISE = 0.05
"""The share of its likeness that it costs a pair of blocks that one alone moves places, as shifted windows do."""
MOVES = ("roll",)
_MOST_PAIRS = 1_000_000
"""More are not held against each other: no network has a thousand blocks in a stage."""


def pair_blocks(target: Side, source: Side, stages: Sequence[StagePair], partners: Partner) -> list[BlockPair]:
    """Return the pairs; `partners` maps anchored target units to their source units, which decide where they can."""
    fixed = _anchored(target.blocks, source.blocks, partners, fewer=target.weighted < source.weighted)
    (t_stem, _, t_head), (s_stem, _, s_head) = target.ends, source.ends
    pairs = [*pair_ends(t_stem, s_stem), *pair_ends(t_head, s_head)]
    manners = _manners(target), _manners(source)
    for pair in stages:
        pairs.extend(_pair_in_stage(pair.target.blocks, pair.source.blocks, pair.added, manners))
    proposed = {pair.target.name: pair for pair in pairs}
    result = [fixed.get(block.name) or proposed.get(block.name) for block in target.blocks]
    return flag_repeats(_added_last([pair for pair in result if pair is not None], gathered_rows(target)))


def _added_last(pairs: Sequence[BlockPair], rows: Iterable[Sequence[str]]) -> list[BlockPair]:
    """Return `pairs` with the blocks that are added to one of `rows` behind those that are not."""
    found = {pair.target.name: pair for pair in pairs}
    for names in rows:
        row = [found[name] for name in names if name in found and not found[name].sure]
        for pair, held in zip(row, sorted(row, key=lambda pair: pair.repeat), strict=True):
            found[pair.target.name] = BlockPair(pair.target, held.source, held.repeat)
    return list(found.values())


def _anchored(
    targets: Sequence[Block], sources: Sequence[Block], partners: Partner, *, fewer: bool
) -> dict[str, BlockPair]:
    """Return the pairs that most units of a block vote for; of a target of `fewer` layers, the first with votes."""
    home = {unit.key: block for block in sources for unit in block.units}
    order = {block.name: i for i, block in enumerate(sources)}
    found: dict[str, BlockPair] = {}
    for block in targets:
        votes = Counter(home[partners[unit.key]].name for unit in block.units if unit.key in partners)
        if votes:
            name, count = min(votes.items(), key=lambda vote: (order[vote[0]],) if fewer else (-vote[1],))
            sure = 2 * count > len(block.units)
            found[block.name] = BlockPair(block, next(b for b in sources if b.name == name), sure=sure)
    return found


def flag_repeats(pairs: Sequence[BlockPair]) -> list[BlockPair]:
    """Keep the likest pair of each source block as the first use; the others repeat it, but for the sure ones."""
    best: dict[str, BlockPair] = {}
    for pair in pairs:
        held = best.get(pair.source.name)
        if not pair.repeat and (held is None or _rank(pair) > _rank(held)):
            best[pair.source.name] = pair
    return [BlockPair(p.target, p.source, best.get(p.source.name) is not p and not p.sure, p.sure) for p in pairs]


def _rank(pair: BlockPair) -> tuple[bool, float]:
    return pair.sure, block_likeness(pair.target, pair.source)


def pair_ends(targets: Sequence[Block], sources: Sequence[Block]) -> list[BlockPair]:
    """Pair the blocks of two stems or two heads, which are treated as one block on the source's side; tower by tower,
    where both sides have several."""
    if not targets or not sources:
        return []
    return [pair for parts in tower_by_tower(targets, sources) for pair in _pair_end(*parts)]


def _pair_end(targets: Sequence[Block], sources: Sequence[Block]) -> list[BlockPair]:
    table = [[block_likeness(t, s) for s in sources] for t in targets]
    matched = dict(align(table))
    whole = Block(sources[0].name, "", tuple(unit for block in sources for unit in block.units))
    return [BlockPair(t, sources[matched[i]] if i in matched else whole) for i, t in enumerate(targets)]


def tower_by_tower(
    targets: Sequence[Block], sources: Sequence[Block]
) -> Iterator[tuple[Sequence[Block], Sequence[Block]]]:
    """Yield the blocks of each tower, of both sides; all at once, where these do not have the same several."""
    towers = {block.tower for block in targets}
    if len(towers) < 2 or towers != {block.tower for block in sources}:
        yield targets, sources
        return
    for name in sorted(towers):
        mine, theirs = ([block for block in side if block.tower == name] for side in (targets, sources))
        yield mine, theirs


def stream_by_stream(target: Block, source: Block) -> Iterator[tuple[Sequence[Unit], Sequence[Unit]]]:
    """Yield the units of each of two streams, of both blocks, where names tell two of both; then all."""
    streams = [grouped(block.units, lambda unit: unit.stream) for block in (target, source)]
    if len(streams[0]) == len(streams[1]) == 2:
        yield from ((streams[0][name], streams[1][name]) for name in sorted(streams[0]))
    yield target.units, source.units


def block_likeness(t: Block, s: Block) -> float:
    """Return how alike two blocks are, in (0, 1], by the forms and the shapes of their layers."""
    return BLOCK + BLOCK_FORMS * overlap(t.forms, s.forms) + BLOCK_SHAPES * overlap(t.shapes, s.shapes)


def thousandths(likeness: float) -> int:
    """Return `likeness` to the digits that count where blocks are about equally alike."""
    return round(1000 * likeness)


def _manners(side: Side) -> Manners:
    """Return for each block by which operations its code moves places, and how far apart the taps of kernels are."""
    layers = side.architecture.layers
    numbers = {block.name: [n for u in block.units for n in layers[u.place].numbers] for block in side.blocks}
    told = {name: [n for n in own if n[0] in MOVES or n[0] == CONVOLUTION] for name, own in numbers.items()}
    return {name: frozenset(str(n[3:4] or n[0]) for n in own) for name, own in told.items()}


def _pair_in_stage(
    targets: Sequence[Block], sources: Sequence[Block], added: bool, manners: tuple[Manners, Manners]
) -> list[BlockPair]:
    if len(targets) * len(sources) > _MOST_PAIRS:
        return [BlockPair(t, sources[i * len(sources) // len(targets)], repeat=added) for i, t in enumerate(targets)]

    def alike(t: Block, s: Block) -> float:
        return block_likeness(t, s) * (1 - OTHERWISE * (manners[0][t.name] != manners[1][s.name]))

    rows = _groups(targets), _groups(sources)
    sizes = [{len(group) for group in groups} for groups in rows]
    if sizes[0] == sizes[1] != {1} and len(rows[0]) > len(rows[1]) > 1:
        found = _in_order(*rows, lambda t, s: sum(map(alike, t, s)) / max(len(t), len(s)))
        return [pair for (t, s, once) in found for pair in _pair_in_stage(t, s, added or not once, manners)]
    return [BlockPair(t, s, repeat=added or not once) for t, s, once in _in_order(targets, sources, alike)]


def _groups(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return `blocks` by the outermost numbered modules in which not all of them stand."""
    names = [block.name.split(".") for block in blocks]
    common = next((i for i, parts in enumerate(zip(*names, strict=False)) if len({*parts}) > 1), 0)
    ends = [next((i for i, part in enumerate(n) if i >= common and part.isdecimal()), len(n)) for n in names]
    keys = [tuple(name[: end + 1]) for name, end in zip(names, ends, strict=True)]
    return [[block for _, block in group] for _, group in groupby(zip(keys, blocks, strict=True), key=itemgetter(0))]


def _in_order(targets: Sequence[T], sources: Sequence[T], alike: Callable[[T, T], float]) -> list[tuple[T, T, bool]]:
    """Return each target with a source, in order as far as there are enough, and whether that is its first use."""
    s_last = max(len(sources) - 1, 1)
    # Of fewer blocks all stay where they are: the last ones are those that a new task misses least (arXiv 2004.03844).
    t_last = s_last if len(sources) > len(targets) else max(len(targets) - 1, 1)
    table = [
        [alike(t, s) - DISPLACED * abs(i / t_last - j / s_last) for j, s in enumerate(sources)]
        for i, t in enumerate(targets)
    ]
    matched = dict(align(table))
    pairs = []
    for i, target in enumerate(targets):
        near = i
        if i not in matched:
            near = min(matched, key=lambda k: (-thousandths(alike(target, sources[matched[k]])), abs(k - i), k > i))
        pairs.append((target, sources[matched[near]], near == i))
    return pairs


def gathered_rows(side: Side) -> Iterator[list[str]]:
    """Yield the names of the blocks of each numbered row, one for each number, of which one concatenation takes what
    each gives."""
    home = {unit.place: block.name for block in side.blocks for unit in block.units}
    modules = gathered((module, block.name) for block in side.blocks for module in enclosing(block.name))
    alone = ((module.rpartition("."), names[0]) for module, names in modules.items() if len(names) == 1)
    rows = gathered((row, name) for (row, _, number), name in alone if row and number.isdecimal())
    last: list[int] = []
    held: list[set[str]] = []
    for node in side.architecture.graph:
        last.append(node.layer if node.layer >= 0 else last[max(node.inputs)] if node.inputs else -1)
        held += [{home.get(last[i], "") for i in node.inputs}] if node.op == "cat" and len(node.inputs) > 2 else []
    yield from (names for names in rows.values() if any(blocks.issuperset(names) for blocks in held))
