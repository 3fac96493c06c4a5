"""Pair blocks: stem with stem, head with head, stages by resolution, then the blocks of paired stages in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from tli_cli.matching.alignment import align
from tli_cli.matching.segments import Block, Stage, overlap, split_ends, stages_of

Partner = Mapping[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class BlockPair:
    """A target block and the source block that feeds it; `repeat` where that source block feeds an earlier one as well."""

    target: Block
    source: Block
    repeat: bool = False


def pair_blocks(targets: Sequence[Block], sources: Sequence[Block], partners: Partner) -> list[BlockPair]:
    """Return the pairs; `partners` maps anchored target units to their source units, which decide where they can."""
    fixed = _anchored(targets, sources, partners)
    t_stem, t_body, t_head = split_ends(targets)
    s_stem, s_body, s_head = split_ends(sources)
    pairs = [*_pair_ends(t_stem, s_stem), *_pair_ends(t_head, s_head)]
    for t_stage, s_stage in _pair_stages(stages_of(t_body), stages_of(s_body)):
        pairs.extend(_pair_in_stage(t_stage.blocks, s_stage.blocks))
    proposed = {pair.target.name: pair for pair in pairs}
    result = [fixed.get(block.name) or proposed.get(block.name) for block in targets]
    return _flag_repeats([pair for pair in result if pair is not None])


def _anchored(targets: Sequence[Block], sources: Sequence[Block], partners: Partner) -> dict[str, BlockPair]:
    home = {unit.key: block for block in sources for unit in block.units}
    found: dict[str, BlockPair] = {}
    for block in targets:
        votes = Counter(home[partners[unit.key]].name for unit in block.units if unit.key in partners)
        if votes:
            name = votes.most_common(1)[0][0]
            found[block.name] = BlockPair(block, next(b for b in sources if b.name == name))
    return found


def _flag_repeats(pairs: Sequence[BlockPair]) -> list[BlockPair]:
    """Keep the likest pair of each source block as the first use; the others repeat it."""
    best: dict[str, BlockPair] = {}
    for pair in pairs:
        held = best.get(pair.source.name)
        if held is None or (held.repeat and not pair.repeat):
            best[pair.source.name] = pair
    return [BlockPair(p.target, p.source, best[p.source.name].target.name != p.target.name) for p in pairs]


def _pair_ends(targets: Sequence[Block], sources: Sequence[Block]) -> list[BlockPair]:
    """Pair the blocks of two stems or two heads, which are treated as one block on the source's side."""
    if not targets or not sources:
        return []
    table = [[block_likeness(t, s) for s in sources] for t in targets]
    matched = dict(align(table))
    whole = Block(sources[0].name, "", tuple(unit for block in sources for unit in block.units))
    return [BlockPair(t, sources[matched[i]] if i in matched else whole) for i, t in enumerate(targets)]


def _pair_stages(targets: Sequence[Stage], sources: Sequence[Stage]) -> list[tuple[Stage, Stage]]:
    if not targets or not sources:
        return []
    table = [[_stage_likeness(t, s, targets, sources) for s in sources] for t in targets]
    matched = dict(align(table))
    pairs = []
    for i, stage in enumerate(targets):
        row = table[i]
        chosen = matched.get(i, max(range(len(sources)), key=lambda j: row[j]))
        pairs.append((stage, sources[chosen]))
    return pairs


def _stage_likeness(t: Stage, s: Stage, targets: Sequence[Stage], sources: Sequence[Stage]) -> float:
    forms = overlap(t.forms, s.forms)
    levels = (t.level, s.level, targets[0].level, sources[0].level)
    if None not in levels:
        fall = abs((levels[2] - levels[0]) - (levels[3] - levels[1]))  # type: ignore[operator]
    else:
        ends = (max(len(targets) - 1, 1), max(len(sources) - 1, 1))
        fall = 4 * abs(list(targets).index(t) / ends[0] - list(sources).index(s) / ends[1])
    return 0.3 * forms + 0.7 * exp(-fall / 2)


def block_likeness(t: Block, s: Block) -> float:
    """Return how alike two blocks are, in (0, 1], by the forms and the shapes of their layers."""
    return 0.05 + 0.65 * overlap(t.forms, s.forms) + 0.3 * overlap(t.shapes, s.shapes)


def _pair_in_stage(targets: Sequence[Block], sources: Sequence[Block]) -> list[BlockPair]:
    t_last, s_last = max(len(targets) - 1, 1), max(len(sources) - 1, 1)
    table = [
        [block_likeness(t, s) - 0.04 * abs(i / t_last - j / s_last) for j, s in enumerate(sources)]
        for i, t in enumerate(targets)
    ]
    matched = dict(align(table))
    pairs = []
    for i, block in enumerate(targets):
        if i in matched:
            pairs.append(BlockPair(block, sources[matched[i]]))
            continue
        near = min(matched, key=lambda k: (-round(block_likeness(block, sources[matched[k]]), 3), abs(k - i), k > i))
        pairs.append(BlockPair(block, sources[matched[near]], repeat=True))
    return pairs
