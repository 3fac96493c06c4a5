"""Towers of a network that takes several kinds of input: one side's tower for text is no partner for an image network.

A layer belongs to the input that its queries and its trunk come from, whatever it attends to.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from tli_cli.grouping import gathered
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.sides import Side

GRID, TOKENS = "grid", "tokens"
STEMS = {"conv": GRID, "dense": GRID, "embedding": TOKENS}
"""What the first layer behind an input says of that input."""

FREE = "input"
"""What nothing has been applied to yet that tells its kind."""

Reach = frozenset[str]


def of_common_inputs(source: Side, target: Side) -> tuple[Side, Side]:
    """Return both sides without towers of inputs that the other does not take; as they are if they share none."""
    mine, theirs = _kinds(target), _kinds(source)
    held = set(mine.values()) - {""}, set(theirs.values()) - {""}
    if not held[0] & held[1] or held[0] == held[1]:
        return source, target
    return _without(source, theirs, held[1] - held[0]), _without(target, mine, held[0] - held[1])


def _without(side: Side, kinds: dict[str, str], unwanted: set[str]) -> Side:
    towers = [unit for unit in side.units if kinds.get(unit.home) in unwanted]
    return side.without(towers) if any(unit.kind in WEIGHTED for unit in towers) else side


def _kinds(side: Side) -> dict[str, str]:
    """Return the kind of input that each block's values come from, "" where it takes several or none is known."""
    told = _by_graph(side) if side.architecture.graph else _by_name(side)
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for unit in side.units:
        votes[unit.home][told.get(unit.place, "")] += 1
    return {home: max(counts, key=lambda kind: (counts[kind], kind)) for home, counts in votes.items()}


def _by_graph(side: Side) -> dict[int, str]:
    architecture = side.architecture
    kinds = {unit.place: STEMS.get(unit.kind, "") for unit in side.units}
    reached: list[Reach] = []
    found: dict[int, Reach] = {}
    for node in architecture.graph:
        before = [reached[i] for i in node.inputs]
        taken = frozenset().union(*before) if node.op != "matmul" else next(filter(None, before), frozenset())
        if node.op == "input":
            taken = frozenset({FREE})
        elif node.layer >= 0 and FREE in taken and kinds.get(node.layer):
            taken = taken - {FREE} | {kinds[node.layer]}
        reached.append(taken)
        if node.layer >= 0:
            found[node.layer] = found.get(node.layer, frozenset()) | taken
    return {place: next(iter(reach)) for place, reach in found.items() if len(reach) == 1 and FREE not in reach}


def _by_name(side: Side) -> dict[int, str]:
    """Return what kind of stem alone stands in the outermost module that parts the layers, where that is so."""
    parts = [unit.path.split(".") for unit in side.units]
    depth = next((d for d in range(max(map(len, parts), default=0)) if len({tuple(p[: d + 1]) for p in parts}) > 1), 0)
    modules = [tuple(part[: depth + 1]) for part in parts]
    inside = list(zip(side.units, modules, strict=True))
    stems = gathered((module, STEMS[unit.kind]) for unit, module in inside if unit.kind in ("conv", "embedding"))
    return {unit.place: stems[module][0] for unit, module in inside if len({*stems.get(module, ())}) == 1}
