"""A deeper stack of torch's recurrent layers, which the names of their tensors tell: layers in order, and those that it
gains start so that they pass on nearly what they get."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tli_cli.architecture import Architecture
from tli_cli.initial import GATES
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair

NEARLY = "it is added to a stack and starts so that it passes on nearly what it gets"
_NAME = re.compile(r"(.*\.|)(weight|bias)_(ih|hh)_l(\d+)(_reverse|)")


def stacks_in_order(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` with the levels of a stack that has more of them than the one that feeds it paired in order;
    those above take the source's last one again. Of a stack that several feed, each its own level, nothing changes."""
    pairs = dict(matching.by_target)
    theirs = _stacks(source, matching.sources)
    for stack in _stacks(target, matching.targets):
        given = {pairs[unit.key].source for unit in stack.values() if unit.key in pairs}
        partner = next((other for other in theirs if given and given.issubset(other.values())), {})
        last = max((level for _, level, _ in partner), default=len(stack))
        if all(level <= last for _, level, _ in stack):
            continue
        for (side, level, way), unit in stack.items():
            other = partner.get((side, min(level, last), way)) or partner[side, min(level, last), ""]
            pairs[unit.key] = Pair(unit, other, unit_similarity(unit, other), repeat=level > last)
    return matching.with_pairs(pairs)


def stacked_start(target: Architecture, name: str) -> str:
    """Return how the tensor `name` of a layer above the first of its stack starts; empty if it is none such, or takes
    something else than what each direction of the layer before it gives."""
    found = _NAME.fullmatch(name)
    if found is None or found[4] == "0":
        return ""
    reads, keeps = (target.by_name[f"{found[1]}weight_{side}_l{found[4]}{found[5]}"].shape for side in ("ih", "hh"))
    kind = next((kind for kind, gates in GATES.items() if reads[0] == len(gates) * keeps[1]), "")
    if not kind or reads[1] not in (keeps[1], 2 * keeps[1]):
        return ""
    return "zeros" if found[3] == "hh" else kind + found[5].replace("_", "-")


def _stacks(architecture: Architecture, units: Sequence[Unit]) -> list[dict[tuple[str, int, str], Unit]]:
    """Return the units of each stack by what they read, an input or a state, their level, and their direction."""
    stacks: dict[str, dict[tuple[str, int, str], Unit]] = {}
    for unit in units:
        if found := _NAME.fullmatch(architecture.layers[unit.place].tensor("weight") or ""):
            stacks.setdefault(found[1], {})[found[3], int(found[4]), found[5]] = unit
    return list(stacks.values())
