"""The chain of shapes: the output width of one layer is the input width of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tli_cli.architecture import LINEAR, Layer

EXACT_UP_TO = 9
COLOURS = 3
"""How many channels the first layer of a network for images takes."""


class Widths(NamedTuple):
    """The channels that a run of layers takes and gives; 0 where it has none."""

    first: int
    last: int


def widths(layer: Layer, shapes: Mapping[str, tuple[int, ...]]) -> Widths:
    """Return the input and output width of a layer."""
    name = layer.tensor("weight") or layer.tensor("bias")
    shape = shapes[name] if name else ()
    if layer.kind in LINEAR and len(shape) >= 2:
        first, last = shape[1] * layer.attribute("groups", 1), shape[0]
        return Widths(last, first) if layer.attribute("transposed") else Widths(first, last)
    if layer.kind == "embedding" and len(shape) == 2:
        return Widths(0, shape[1])
    if layer.kind == "norm" and shape:
        return Widths(shape[0], shape[0])
    return Widths(0, 0)


def ends_of(size: Mapping[str, Widths], layers: Sequence[Layer]) -> Widths:
    """Return the input width of the first of `layers` that has one and the output width of the last."""
    first = next((own.first for layer in layers if (own := size[layer.path]).last and own.first), 0)
    return Widths(first, next((own.last for layer in reversed(layers) if (own := size[layer.path]).last), 0))


def _cost(before: int, after: Widths) -> int:
    """Return what it costs that a run stands behind what gives `before` channels; colours are no output's, though some
    give as many numbers."""
    if not before or not after.first or before == after.first != COLOURS:
        return 0
    return 3 if after.first == COLOURS else 1 if after.first % before == 0 else 2


def best_chain(ends: Sequence[Widths], before: int = 0) -> list[int]:
    """Return the order of the runs whose widths chain best after `before` channels; the given one if it is as good.

    >>> best_chain([Widths(64, 10), Widths(20, 64), Widths(3, 20)])
    [2, 1, 0]
    """
    count = len(ends)
    if count > EXACT_UP_TO:
        return _greedy(ends, before)
    best: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {
        (1 << i, i): (_cost(before, ends[i]), (i,)) for i in range(count)
    }
    for _ in range(count - 1):
        longer: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}
        for (used, last), (cost, order) in best.items():
            for i in range(count):
                if used >> i & 1:
                    continue
                entry = (cost + _cost(ends[last].last, ends[i]), (*order, i))
                key = (used | 1 << i, i)
                longer[key] = min(longer.get(key, entry), entry)
        best = longer
    return list(min(best.values())[1])


def _greedy(ends: Sequence[Widths], before: int) -> list[int]:
    left, order, width = list(range(len(ends))), [], before
    if not before:
        made = {end.last for end in ends}
        start = [i for i in left if ends[i].first not in made] or left
        width = ends[start[0]].first
    while left:
        chosen = min(left, key=lambda i: (_cost(width, ends[i]), i))
        left.remove(chosen)
        order.append(chosen)
        width = ends[chosen].last or width
    return order


def chain_cost(ends: Sequence[Widths], before: int = 0) -> int:
    """Return how badly the runs chain in this order: 0 where every width meets its own."""
    return sum(_cost(width, end) for width, end in zip([before, *(end.last for end in ends)], ends, strict=False))
