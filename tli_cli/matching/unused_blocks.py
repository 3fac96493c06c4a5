"""Blocks that a network holds and does not run, or of which nothing is used: stages of an encoder behind the one that a
decoder reads, heads for training alone.

No graph tells of them, so nothing but names does. They take what has their names, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import changed, prefix_change
from tli_cli.grouping import grouped
from tli_cli.matching.namesakes import FEWEST, LIKE
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Pair
from tli_cli.matching.whole_layers import whole


def idle_pairs(source: Side, target: Side) -> list[Pair]:
    """Return the pairs of whole layers of one name, whatever their sizes, of which one side at least runs neither, nor
    what it is of; none where few of the layers that are run have such a namesake, unless that is all, or few of either
    side's that are not."""
    if not both_known(source, target) or not (source.idle or target.idle):
        return []
    mine, theirs = (grouped(side.units, lambda unit: unit.path) for side in (target, source))
    change = prefix_change(list(mine), list(theirs))
    forms = _forms(target.architecture), _forms(source.architecture)
    called = [(t, s) for t, s in ((path, changed(path, change)) for path in mine) if s in theirs]
    named = [(t, s) for t, s in called if forms[0][t] == forms[1][s]]
    run = [t for t, s in named if t not in target.idle and s not in source.idle]
    held = (target.idle, {t for t, _ in called}), (source.idle, {s for _, s in called})
    shares = [len(idle & found) / len(idle) for idle, found in held if idle]
    least = min(FEWEST, *(len(paths.keys() - side.idle) for paths, side in ((mine, target), (theirs, source))))
    if len(run) < least or max(shares) < LIKE:
        return []
    return [_pair(mine[t], theirs[s]) for t, s in named if t in target.idle or s in source.idle]


def without(side: Side, units: Sequence[Unit]) -> Side:
    """Return `side` without the layers of `units`."""
    places = {unit.place for unit in units}
    return side.of([unit for unit in side.units if unit.place not in places]) if places else side


def _forms(architecture: Architecture) -> dict[str, dict[str, int]]:
    """Return how many axes each tensor has by the path of its layer and its role."""
    shapes = architecture.by_name
    return {
        layer.path: {role: len(shapes[name].shape) for role, name in layer.tensors} for layer in architecture.layers
    }


def _pair(target: Sequence[Unit], source: Sequence[Unit]) -> Pair:
    """Return the pair of two layers, which count as alike whatever is known of the one that is not run."""
    wanted, offered = (units[0] if units[0].part < 0 else whole(units) for units in (target, source))
    like = replace(wanted, place=offered.place, path=offered.path, block=offered.block, stage=offered.stage)
    return Pair(wanted, like, 1.0, anchored=True)
