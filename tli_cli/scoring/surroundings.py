"""How far two blocks are the same surroundings for a layer."""

from __future__ import annotations

from math import sqrt

from tli_cli.matching.bags import overlap
from tli_cli.matching.segments import Block


def context(target: Block, source: Block, *, proven: bool = False) -> float:
    """Return the context of a pair of layers, in [0, 1]: the share of like layers, or of the window if that is less.

    Where the graphs prove the pair, the layers around it are known to be the same but for their sizes.
    """
    window = window_share(target.window, source.window)
    return window if proven else min(overlap(target.forms, source.forms), window)


def window_share(target: float, source: float) -> float:
    """Return what a block that looks through the window `target` is given by one that looks through `source`.

    What a larger window let in, every layer of the block was made for; a smaller one is held whole.

    >>> window_share(5, 3), window_share(0, 3), round(window_share(3, 5), 3)
    (1.0, 1.0, 0.775)
    """
    return sqrt(target / source) if 0 < target < source else 1.0
