"""Added blocks whose shortcut is a batch norm of its own, as in RepVGG (arXiv 2101.03697): that norm passes on what it
takes, and all that is added to it gives zero."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tli_cli.architecture import Architecture
from tli_cli.matching.settings import IDEMPOTENT
from tli_cli.planning.identity import silencers
from tli_cli.planning.starts.chains import ops_before, ops_behind


class NormedShortcut(NamedTuple):
    """The layer of a shortcut's norm, those that end the branches beside it, and whether the block then gives what it
    takes."""

    norm: int
    ends: set[int]
    passes: bool


def normed_shortcut(target: Architecture, members: Collection[int]) -> NormedShortcut | None:
    """Return the shortcut of an added block made of the layers `members`; None if it is no sum around a norm."""
    for index in reversed(range(len(target.graph))):
        terms = [*_terms(target, index)] if target.graph[index].op == "add" else []
        norms = [i for i in terms if _takes_input(target, i, members)]
        ends = [silencers(target, i) for i in terms if i not in norms]
        if len(norms) == 1 and ends and all(end and end <= {*members} for end in ends):
            before, behind = next(ops_before(target, norms[0]), ""), {*ops_behind(target, index)}
            passes = not behind or (behind == {before} and before in IDEMPOTENT)
            return NormedShortcut(target.graph[norms[0]].layer, set[int]().union(*ends), passes)
    return None


def _terms(target: Architecture, index: int) -> Iterator[int]:
    """Yield the nodes that a sum, or a sum of sums, adds up."""
    for i in target.graph[index].inputs:
        yield from _terms(target, i) if target.graph[i].op == "add" else (i,)


def _takes_input(target: Architecture, index: int, members: Collection[int]) -> bool:
    """Tell whether a node is a batch norm among the layers `members` of a value that none of them makes."""
    node = target.graph[index]
    if node.layer not in members or target.layers[node.layer].tensor("running_var") is None:
        return False
    made = node.inputs[0]
    while target.graph[made].layer < 0 and len(target.graph[made].inputs) == 1:
        made = target.graph[made].inputs[0]
    inside = [i for i in target.graph[made].inputs if target.graph[i].layer in members]
    return target.graph[made].layer not in members and not inside
