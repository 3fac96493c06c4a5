"""Whether blocks add to a trunk that goes past them or each hand on all that there is, and what lost blocks cost."""

from __future__ import annotations

from collections.abc import Collection
from math import pow

from tli_cli.architecture import Architecture

UNLIKE = 0.7
"""How alike a network with such a trunk and one without are, all else equal: a block of the one makes a change, a block
of the other the whole."""


LOST, BROKEN = 0.2, 1.0
"""What lost blocks cost where blocks add to a trunk, and where each hands on all that there is: the power of the share
of the source's blocks that the target has room for."""


def is_residual(architecture: Architecture, body: Collection[int]) -> bool | None:
    """Tell whether a branch that is added ends in one of the layers `body`; None where there is no graph.

    What the whole network makes, added to its own input as in one that gives the noise, is no branch.
    """
    if not architecture.graph:
        return None
    last: list[int] = []
    for node in architecture.graph:
        last.append(node.layer if node.layer >= 0 else last[node.inputs[0]] if node.inputs else -1)
    end = max((i for i, node in enumerate(architecture.graph) if node.layer >= 0), default=0)
    sums = ((i, node.inputs) for i, node in enumerate(architecture.graph) if node.op == "add" and len(node.inputs) > 1)
    return any(last[max(inputs)] in body for i, inputs in sums if i < end or last[min(inputs)] >= 0)


def trunk_likeness(first: bool | None, second: bool | None) -> float:
    """Return how alike two networks are in this, in (0, 1]; 1 where it is unknown."""
    return 1.0 if first is None or second is None or first == second else UNLIKE


def room_for(wanted: int, given: int, residual: bool | None) -> float:
    """Return the room that `wanted` blocks have for what `given` blocks do.

    >>> room_for(3, 2, False), round(room_for(2, 3, True), 3), round(room_for(2, 3, False), 3)
    (1.0, 0.922, 0.667)
    """
    if wanted >= given:
        return 1.0
    return pow(wanted / given, BROKEN if residual is False else LOST)
