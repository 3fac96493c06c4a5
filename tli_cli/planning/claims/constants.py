"""Tensors that code makes of numbers alone, held side by side: waves, slopes, masks and fixed kernels that differ."""

from __future__ import annotations

from tli_cli.architecture import EPSILON, OFFSET, Architecture, Layer, Number
from tli_cli.planning.numbers import were_run

NEAR = 3e-4
"""How far apart, relative to their size, values may be that were worked out in another precision or another way."""


def other_constants(target: Architecture, source: Architecture) -> dict[int, str]:
    """Return the layers of the target, by their places, behind which a constant acts that the source holds nowhere,
    though one of its shape acts there in the same way.

    What one side does in another way, with constants of other shapes or none, is not held against it.
    """
    if not were_run(target, source):
        return {}
    theirs = [number for layer in source.layers for number in _tensors(layer)]
    found = {}
    for place, layer in enumerate(target.layers):
        for mine in _tensors(layer):
            known = [other for other in theirs if mine[0] == other[0] and (mine[1] == other[1] or mine[2] == other[2])]
            if known and not any(_are_near(mine, other) for other in known):
                size = "x".join(map(str, mine[1])) or "one number"
                found[place] = f"behind it a constant ({mine[0]}, {size}) that differs from the source's"
    return found


def _tensors(layer: Layer) -> list[Number]:
    return [number for number in layer.constants if number[0] not in (EPSILON, OFFSET)]


def _are_near(mine: Number, theirs: Number) -> bool:
    size = max(abs(mine[3]), abs(theirs[3]))
    return mine[2] == theirs[2] and all(abs(a - b) <= NEAR * size for a, b in zip(mine[3:], theirs[3:], strict=True))
