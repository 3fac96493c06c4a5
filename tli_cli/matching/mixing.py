"""How blocks mix places, by convolutions, by attention or by a fixed map over tokens, and whether they add to a trunk
that goes past them or each hand on all that there is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import pow, prod

from tli_cli.architecture import Architecture
from tli_cli.matching.similarity import root
from tli_cli.matching.units import Unit

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


CONVOLUTION, ATTENTION, TOKENS = KINDS = ("convolution", "attention", "tokens")
QUERIES = frozenset({"q", "qkv"})

Shares = tuple[float, float, float]
"""How much of the mixing is of each of `KINDS`; all zero where nothing is mixed."""


def mixing_kinds(units: Sequence[Unit], positions: int) -> frozenset[str]:
    """Return the kinds of mixing in a block that holds its values at so many `positions` (0 if unknown)."""
    return frozenset(kind for unit in units if (kind := _kind(unit, positions)))


def _kind(unit: Unit, positions: int) -> str:
    if unit.attends or unit.role in QUERIES:
        return ATTENTION
    if unit.kind == "conv":
        return CONVOLUTION if _convolves(unit) else ""
    turned = unit.kind == "dense" and not unit.kernel and unit.positions not in (0, 1, positions)
    return TOKENS if turned and positions > 1 and positions in unit.shape else ""


def _convolves(unit: Unit) -> bool:
    return unit.kind == "conv" and max(unit.kernel, default=1) > 1 and unit.positions != 1


def widest_window(units: Iterable[Unit]) -> float:
    """Return the side of the largest window that a block's convolutions look through, 0 if it has none."""
    return max((root(prod(unit.kernel), len(unit.kernel)) for unit in units if _convolves(unit)), default=0.0)


def mixing_shares(blocks: Iterable[frozenset[str]]) -> Shares:
    """Return the shares of each kind over blocks that mix by the given kinds, each block counting alike."""
    mixing = [kinds for kinds in blocks if kinds]
    counts = [sum(1 / len(kinds) for kinds in mixing if kind in kinds) for kind in KINDS]
    convolution, attention, tokens = (count / max(len(mixing), 1) for count in counts)
    return convolution, attention, tokens


def mixing_likeness(first: Shares, second: Shares) -> float:
    """Return the share of the mixing that is of one kind, in [0, 1]; 1 where neither side mixes.

    >>> mixing_likeness((1.0, 0.0, 0.0), (0.5, 0.5, 0.0))
    0.5
    """
    if not any(first) and not any(second):
        return 1.0
    return min(first[0], second[0]) + min(first[1], second[1]) + min(first[2], second[2])


def mixing_reach(target: Shares, source: Shares) -> float:
    """Return the share of the mixing in which the target's can do what the source's does, in [0, 1].

    That is what is of one kind, and what attention can do beside: it looks at all places at once, and so can stand in
    for any other kind (for convolutions: arXiv 1911.03584).

    >>> mixing_reach((1.0, 0.0, 0.0), (0.5, 0.5, 0.0)), mixing_reach((0.5, 0.5, 0.0), (1.0, 0.0, 0.0))
    (0.5, 1.0)
    """
    alike = mixing_likeness(target, source)
    attention = max(target[1] - source[1], 0.0)
    return alike + min(sum(source) - alike, attention) if any(source) else alike
