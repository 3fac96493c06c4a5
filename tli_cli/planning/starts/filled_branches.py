"""A plain chain of convolutions in a network of residual blocks: once, in order, in the branches of each stage's first
blocks; the other blocks are added ones, and nothing feeds the projections of shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tli_cli.architecture import Architecture
from tli_cli.matching.residuals import is_residual
from tli_cli.matching.segments import WEIGHTED, Block
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair


def chains_fill_branches(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` with the source's convolutions in a residual target's blocks; unchanged for any other two.

    A stage is left as it is where a block is more than a branch of convolutions that mix places and one projection.
    """
    if not gains_branches(target, source):
        return matching
    pairs = dict(matching.by_target)
    added = set(matching.added_blocks)
    for stage in matching.stages:
        blocks = [block for block in stage.target.blocks if block.weighted]
        offered = [unit for block in stage.source.blocks for unit in _mixing(block)]
        if stage.added or not offered or not blocks or not all(map(_is_branch, blocks)):
            continue
        taken = _taken(blocks, offered)
        for block, mine, before in zip(blocks, taken, [None, *taken[:-1]], strict=True):
            for unit in block.units:
                pairs.pop(unit.key, None)
            repeat = mine == before
            added = added | {block.name} if repeat else added - {block.name}
            for unit, partner in zip(_mixing(block), mine, strict=True):
                pairs[unit.key] = Pair(unit, partner, unit_similarity(unit, partner), repeat=repeat)
    return replace(matching.with_pairs(pairs), added_blocks=frozenset(added))


def gains_branches(target: Architecture, source: Architecture) -> bool:
    """Tell whether the target is known to add branches to a trunk, and the source to have none."""
    mine, theirs = (is_residual(side, range(len(side.layers))) for side in (target, source))
    return mine is True and theirs is False


def _mixing(block: Block) -> list[Unit]:
    """Return the convolutions of a block that mix places and channels."""
    return [unit for unit in block.units if unit.kind == "conv" and not unit.flavour]


def _is_branch(block: Block) -> bool:
    weighted = [unit for unit in block.units if unit.kind in WEIGHTED]
    return len(weighted) - len(_mixing(block)) <= 1 and bool(_mixing(block))


def _taken(blocks: Sequence[Block], offered: Sequence[Unit]) -> list[list[Unit]]:
    """Return what the convolutions of each block are fed from: the next ones, the last ones again when all are used; an
    even choice where there are more than enough."""
    wanted = [len(_mixing(block)) for block in blocks]
    total = sum(wanted)
    if len(offered) >= total:
        even = [offered[-(-(i + 1) * len(offered) // total) - 1] for i in range(total)]
        ends = [sum(wanted[:i]) for i in range(len(wanted) + 1)]
        return [even[start:stop] for start, stop in pairwise(ends)]
    found: list[list[Unit]] = []
    used = 0
    for count in wanted:
        rest = list(offered[used : used + count])
        last = found[-1] if found and not rest else []
        filled = rest or last[-count:]
        found.append([*filled, *[offered[-1]] * (count - len(filled))])
        used += count
    return found
