"""Pair stages by resolution, and tell how much room each has for what the source's stages do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from math import exp

from tli_cli.matching.alignment import align
from tli_cli.matching.bags import overlap
from tli_cli.matching.blocks import Partner
from tli_cli.matching.mixing import mixing_likeness, mixing_reach
from tli_cli.matching.residuals import room_for, trunk_likeness
from tli_cli.matching.segments import Stage
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.values import StagePair

STAGE_FORMS, STAGE_LEVEL = 0.3, 0.7
"""What the forms of their layers, and their places between input and output, count of how alike two stages are."""


def pair_stages(target: Side, source: Side, partners: Partner) -> tuple[StagePair, ...]:
    """Return a pair for every stage of `target`; none if `source` has no stages.

    `partners` maps anchored target units to their source units: a stage that holds one of these is not lost. Where
    names alone are known and those of one side do not tell how it mixes places, like layers count as like mixing.
    """
    targets, sources, known = target.stages, source.stages, both_known(source, target)
    if not targets or not sources:
        return ()
    t_falls, s_falls = falls(targets, target.first_level), falls(sources, source.first_level)
    levels = [[0.5 * exp(-abs(a - c) / 2) + 0.5 * exp(-abs(b - d) / 2) for c, d in s_falls] for a, b in t_falls]
    parted = all(len({block.tower for stage in stages for block in stage.blocks}) > 1 for stages in (targets, sources))
    table = [
        [_stage_likeness(t, s, level, parted) for s, level in zip(sources, row, strict=True)]
        for t, row in zip(targets, levels, strict=True)
    ]
    matched = dict(align(table))
    trunk = trunk_likeness(target.residual, source.residual)
    chosen = [matched.get(i, max(range(len(sources)), key=row.__getitem__)) for i, row in enumerate(table)]
    users, given = Counter[int](), Counter[int]()
    for stage, j in zip(targets, chosen, strict=True):
        users[j] += len(stage.blocks)
    anchored = set(partners.values())
    for i, (stage, j) in enumerate(zip(sources, owners(set(chosen), len(sources)), strict=True)):
        lost = i == j or not any(unit.key in anchored for unit in stage.units)
        given[j] += len(stage.blocks) if lost else 0
    pairs = []
    for i, (stage, j) in enumerate(zip(targets, chosen, strict=True)):
        untold = not known and any(stage.mixing) != any(sources[j].mixing)
        if untold:
            kinship = reach = trunk * overlap(stage.forms, sources[j].forms)
        else:
            kinship = trunk * mixing_likeness(stage.mixing, sources[j].mixing)
            reach = trunk * mixing_reach(stage.mixing, sources[j].mixing)
        room = room_for(users[j], given[j], target.residual) if trunk == 1 else 1.0
        pairs.append(StagePair(stage, sources[j], i not in matched, kinship, reach, levels[i][j], room))
    return tuple(pairs)


def _stage_likeness(target: Stage, source: Stage, level: float, parted: bool) -> float:
    """Return how alike two stages are; not at all those of two towers, where both sides are `parted` into these."""
    apart = parted and target.blocks[0].tower != source.blocks[0].tower
    return 0.0 if apart else STAGE_FORMS * overlap(target.forms, source.forms) + STAGE_LEVEL * level


def owners(used: Collection[int], count: int) -> list[int]:
    """Return for each of `count` source stages itself if it is `used`, else the last one before it that is, or the
    first one: what an unused stage does is lost to the target's stage that its owner feeds.

    >>> owners({1, 3}, 5)
    [1, 1, 1, 3, 3]
    """
    first, found = min(used), list[int]()
    for j in range(count):
        found.append(j if j in used else found[-1] if found else first)
    return found


def falls(stages: Sequence[Stage], reference: float | None) -> list[tuple[float, float]]:
    """Return how far each stage is from the first layer and from the last stage, or in steps if that is unknown.

    In whole octaves of the number of places: the size of the image and how edges are padded do not matter. A stage of
    no known number, such as a head in the midst of others, counts as the one before it.
    """
    held = [stage.level for stage in stages if stage.level is not None]
    if reference is None or 2 * len(held) <= len(stages):
        last = max(len(stages) - 1, 1)
        return [(4 * i / last, 4 * (last - i) / last) for i in range(len(stages))]
    levels: list[float | None] = []
    for stage in stages:
        levels.append(levels[-1] if stage.level is None and levels else stage.level)
    known = [held[0] if level is None else level for level in levels]
    return [(float(round(reference - level)), float(round(level - known[-1]))) for level in known]
