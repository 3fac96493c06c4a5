"""Over which places a softmax runs: over all, or over those of windows or grids that code cuts a map into. No tensor
tells, and networks with equal tensors weigh other places where this differs."""

from __future__ import annotations

from itertools import groupby

from tli_cli.architecture import LINEAR, WEIGHED, Number
from tli_cli.describe.spaces import leaves
from tli_cli.describe.tracing.recording import Recording


def note_weighed(rec: Recording) -> None:
    """Note for each layer that is run next behind a softmax over places how these are cut.

    Of each axis of a map that is cut the sizes of its factors, the outermost first; those that the softmax did not run
    over count as negative.
    """
    factors = (leaves(rec.table.resolve(axis)) for axis in rec.table.cut)
    cut = [axis for found in factors if len(axis := [leaf for leaf in found if _are_places(rec, leaf)]) > 1]
    for node, dims, dim in rec.weighed:
        own, *others = ({*leaves(rec.table.resolve(d))} for d in (dims[dim], *dims))
        layer = next((n.layer for n in rec.nodes[node:] if n.layer >= 0 and rec.layers[n.layer].kind in LINEAR), -1)
        if layer >= 0 and any(_are_places(rec, leaf) for leaf in own):
            rec.numbers.append((layer, _number(rec, cut, own, own.union(*others))))


def _number(rec: Recording, cut: list[list[int]], own: set[int], held: set[int]) -> Number:
    axes = {tuple(leaf for leaf in axis if leaf in held) for axis in cut}
    parted = [axis for axis in axes if not own.isdisjoint(axis) and not own.issuperset(axis)]
    whole = [axis for axis in parted if not any({*axis} < {*other} for other in parted)]
    return (WEIGHED, *sorted(_runs(rec, axis, own) for axis in whole))


def _runs(rec: Recording, axis: tuple[int, ...], own: set[int]) -> tuple[int, ...]:
    runs = [(weighed, rec.table.size(("*", *run))) for weighed, run in groupby(axis, own.__contains__)]
    return tuple(size if weighed else -size for weighed, size in runs)


def _are_places(rec: Recording, leaf: int) -> bool:
    return rec.table.kind(leaf) == "grid" and rec.table.size(leaf) > 1
