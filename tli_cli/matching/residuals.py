"""Whether a network's blocks add to a trunk that goes past them, or each hand on all that there is."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.architecture import Architecture

UNLIKE = 0.7
"""How alike a network with such a trunk and one without are, all else equal: a block of the one makes a change, a block
of the other the whole."""


def is_residual(architecture: Architecture, body: Collection[int]) -> bool | None:
    """Tell whether a branch that is added ends in one of the layers `body`; None where there is no graph."""
    if not architecture.graph:
        return None
    last: list[int] = []
    for node in architecture.graph:
        last.append(node.layer if node.layer >= 0 else last[node.inputs[0]] if node.inputs else -1)
    sums = (node.inputs for node in architecture.graph if node.op == "add" and len(node.inputs) > 1)
    return any(last[max(inputs)] in body for inputs in sums)


def trunk_likeness(first: bool | None, second: bool | None) -> float:
    """Return how alike two networks are in this, in (0, 1]; 1 where it is unknown."""
    return 1.0 if first is None or second is None or first == second else UNLIKE
