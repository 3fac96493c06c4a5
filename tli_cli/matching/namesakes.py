"""Layers of one name and one shape in two networks, where nearly all layers of one side are such (files of one library,
of one class or of classes of which one holds the other), or of all layers of both, whatever their sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count

from tli_cli.describe.spelling import changed, prefix_change
from tli_cli.grouping import gathered
from tli_cli.matching.segments import WEIGHTED, have_own_shapes
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit

LIKE = 0.75
"""The share of the layers of one side, its head apart, that must have a namesake on the other side for names to be
believed."""
FEWEST = 8
"""Fewer layers of one name say nothing, as `conv1`, `bn1` and `fc` are in many networks, unless nothing else on either
side has their shapes."""


def namesakes(source: Side, target: Side) -> list[tuple[Unit, Unit]]:
    """Return (target unit, source unit) for units of one name, whatever stands before all names of a side; none if too
    few layers have one of their shape. Layers of other sizes count for nothing then, but have their namesakes too."""
    least = min(len(source.tails), len(target.tails))
    if len(source.units) != len(target.units) and len(source.tails & target.tails) < LIKE / 2 * least:
        return []  # as of nearly all pairs of networks that are nothing to each other
    change = prefix_change(_paths(target.units), _paths(source.units))
    offered = _by_name(source.units)
    names = _by_name(target.units).items()
    wanted = [(unit, offered.get((changed(path, change), part, nth))) for (path, part, nth), unit in names]
    found = [(t, s) for t, s in wanted if s is not None and (t.shape, t.parts) == (s.shape, s.parts)]
    named = [(t, s) for t, s in wanted if s is not None and (t.kind, len(t.shape)) == (s.kind, len(s.shape))]
    if len(named) == len(source.units) == len(target.units):
        return named
    known = {t.key for t, _ in found}, {s.key for _, s in found}
    sides = list(zip((target, source), known, strict=True))
    enough = len(found) >= FEWEST or all(have_own_shapes(side.units, keys) for side, keys in sides)
    return named if enough and any(_are_most(*side) for side in sides) else []


def run_alike(source: Side, target: Side, named: Sequence[tuple[Unit, Unit]]) -> bool:
    """Tell whether `named` are all layers of two graphs that are one, sizes apart: two networks of one class, and no
    head of the one gives as many values as another head of the other."""
    mine, theirs = target.architecture.graph, source.architecture.graph
    if not len(named) == len(target.units) == len(source.units) or len(mine) != len(theirs):
        return False
    crossed = {unit.key: source.heads[size].key for size, unit in target.heads.items() if size in source.heads}
    if any(crossed.get(t.key, s.key) != s.key for t, s in named):
        return False
    partner = {t.place: s.place for t, s in named}
    return all(
        (t.op, t.inputs, t.index, partner.get(t.layer, -1)) == (s.op, s.inputs, s.index, s.layer)
        for t, s in zip(mine, theirs, strict=True)
    )


def _by_name(units: Sequence[Unit]) -> dict[tuple[str, int, int], Unit]:
    """Return `units` by path, part, and how many of these come before in a module that holds several layers."""
    nth: defaultdict[tuple[str, int], Iterator[int]] = defaultdict(count)
    return {(unit.path, unit.part, next(nth[unit.path, unit.part])): unit for unit in units}


def _paths(units: Sequence[Unit]) -> list[str]:
    return list(dict.fromkeys(unit.path for unit in units))


def _are_most(side: Side, known: set[Key]) -> bool:
    """Tell whether nearly all layers of `side`, its head apart, are `known`, or of its modules that hold most of it."""
    head = {unit.key for block in side.ends[2] for unit in block.units}
    counted = [u for u in side.units if u.key not in head and (u.kind in WEIGHTED or u.kind == "norm")]
    modules = gathered((unit.path.partition(".")[0], unit.key in known) for unit in counted)
    held = [found for found in modules.values() if sum(found) >= LIKE * len(found)]
    few = sum(unit.key in known for unit in counted) < LIKE * len(counted)
    return bool(counted) and (not few or 2 * sum(map(len, held)) > len(counted))
