"""Pair blocks: stem with stem, head with head, stages by resolution, then the blocks of paired stages in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log2

from tli_cli.matching.alignment import align
from tli_cli.matching.segments import WEIGHTED, Block, Stage, overlap, split_ends, stages_of

Partner = Mapping[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class BlockPair:
    """A target block and the source block that feeds it; `repeat` where that source block feeds an earlier one as
    well.

    `sure` where anchors decide over most of the target block: libraries cut one block in several.
    """

    target: Block
    source: Block
    repeat: bool = False
    sure: bool = False


def pair_blocks(targets: Sequence[Block], sources: Sequence[Block], partners: Partner) -> list[BlockPair]:
    """Return the pairs; `partners` maps anchored target units to their source units, which decide where they can."""
    fixed = _anchored(targets, sources, partners)
    t_stem, t_body, t_head = split_ends(targets)
    s_stem, s_body, s_head = split_ends(sources)
    pairs = [*_pair_ends(t_stem, s_stem), *_pair_ends(t_head, s_head)]
    reference = (_first_level(targets), _first_level(sources))
    for t_stage, s_stage, added in _pair_stages(stages_of(t_body), stages_of(s_body), reference):
        pairs.extend(_pair_in_stage(t_stage.blocks, s_stage.blocks, added))
    proposed = {pair.target.name: pair for pair in pairs}
    result = [fixed.get(block.name) or proposed.get(block.name) for block in targets]
    return _flag_repeats([pair for pair in result if pair is not None])


def _anchored(targets: Sequence[Block], sources: Sequence[Block], partners: Partner) -> dict[str, BlockPair]:
    home = {unit.key: block for block in sources for unit in block.units}
    found: dict[str, BlockPair] = {}
    for block in targets:
        votes = Counter(home[partners[unit.key]].name for unit in block.units if unit.key in partners)
        if votes:
            name, count = votes.most_common(1)[0]
            sure = 2 * count > len(block.units)
            found[block.name] = BlockPair(block, next(b for b in sources if b.name == name), sure=sure)
    return found


def _flag_repeats(pairs: Sequence[BlockPair]) -> list[BlockPair]:
    """Keep the likest pair of each source block as the first use; the others repeat it, but for the sure ones."""
    best: dict[str, BlockPair] = {}
    for pair in pairs:
        held = best.get(pair.source.name)
        if not pair.repeat and (held is None or _rank(pair) > _rank(held)):
            best[pair.source.name] = pair
    return [BlockPair(p.target, p.source, best.get(p.source.name) is not p and not p.sure, p.sure) for p in pairs]


def _rank(pair: BlockPair) -> tuple[bool, float]:
    return pair.sure, block_likeness(*_sides(pair))


def _sides(pair: BlockPair) -> tuple[Block, Block]:
    return pair.target, pair.source


def _pair_ends(targets: Sequence[Block], sources: Sequence[Block]) -> list[BlockPair]:
    """Pair the blocks of two stems or two heads, which are treated as one block on the source's side."""
    if not targets or not sources:
        return []
    table = [[block_likeness(t, s) for s in sources] for t in targets]
    matched = dict(align(table))
    whole = Block(sources[0].name, "", tuple(unit for block in sources for unit in block.units))
    return [BlockPair(t, sources[matched[i]] if i in matched else whole) for i, t in enumerate(targets)]


def _first_level(blocks: Sequence[Block]) -> float | None:
    """Return the resolution of the network's first weighted layer."""
    first = next((unit for block in blocks for unit in block.units if unit.kind in WEIGHTED), None)
    return log2(first.positions) if first is not None and first.positions else None


def _pair_stages(
    targets: Sequence[Stage], sources: Sequence[Stage], reference: tuple[float | None, float | None]
) -> list[tuple[Stage, Stage, bool]]:
    """Return (target stage, source stage, whether the target stage is an added one)."""
    if not targets or not sources:
        return []
    t_falls, s_falls = _falls(targets, reference[0]), _falls(sources, reference[1])
    table = [
        [0.3 * overlap(t.forms, s.forms) + 0.7 * _level_likeness(t_falls[i], s_falls[j]) for j, s in enumerate(sources)]
        for i, t in enumerate(targets)
    ]
    matched = dict(align(table))
    pairs = []
    for i, stage in enumerate(targets):
        nearest = max(range(len(sources)), key=lambda j: table[i][j])
        pairs.append((stage, sources[matched.get(i, nearest)], i not in matched))
    return pairs


def _falls(stages: Sequence[Stage], reference: float | None) -> list[tuple[float, float]]:
    """Return how far each stage is from the first layer and from the last stage: in octaves, or in steps if unknown."""
    levels = [stage.level for stage in stages]
    if reference is None or None in levels:
        last = max(len(stages) - 1, 1)
        return [(4 * i / last, 4 * (last - i) / last) for i in range(len(stages))]
    known = [level for level in levels if level is not None]
    return [(reference - level, level - known[-1]) for level in known]


def _level_likeness(first: tuple[float, float], second: tuple[float, float]) -> float:
    return 0.5 * exp(-abs(first[0] - second[0]) / 2) + 0.5 * exp(-abs(first[1] - second[1]) / 2)


def block_likeness(t: Block, s: Block) -> float:
    """Return how alike two blocks are, in (0, 1], by the forms and the shapes of their layers."""
    return 0.05 + 0.65 * overlap(t.forms, s.forms) + 0.3 * overlap(t.shapes, s.shapes)


def _pair_in_stage(targets: Sequence[Block], sources: Sequence[Block], added: bool) -> list[BlockPair]:
    t_last, s_last = max(len(targets) - 1, 1), max(len(sources) - 1, 1)
    table = [
        [block_likeness(t, s) - 0.04 * abs(i / t_last - j / s_last) for j, s in enumerate(sources)]
        for i, t in enumerate(targets)
    ]
    matched = dict(align(table))
    pairs = []
    for i, block in enumerate(targets):
        if i in matched:
            pairs.append(BlockPair(block, sources[matched[i]], repeat=added))
            continue
        near = min(matched, key=lambda k: (-round(block_likeness(block, sources[matched[k]]), 3), abs(k - i), k > i))
        pairs.append(BlockPair(block, sources[matched[near]], repeat=True))
    return pairs
