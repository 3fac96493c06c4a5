"""Projections around a branch, in a target whose source has no shortcuts: they start at zero, so that only the branch
counts, as in the source. Added blocks whose shortcut is a batch norm of its own, as in RepVGG (arXiv 2101.03697)."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.architecture import Architecture
from tli_cli.describe.walks import makers, walked
from tli_cli.matching.settings import IDEMPOTENT
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import silencers
from tli_cli.planning.starts.chains import ops_before, ops_behind
from tli_cli.planning.starts.plain import gains_branches

NO_SHORTCUT = "the source has no shortcut"


def surplus_shortcuts(target: Architecture, source: Architecture, matching: Matching) -> set[int]:
    """Return the layers that must give zero so that no projection adds to a branch that the source feeds.

    Nothing without both execution graphs, where the source has shortcuts of its own, where the branch is an addition
    that starts at zero itself, or where the source ends before the sum, as in a decoder.
    """
    if not gains_branches(target, source):
        return set()
    fed = {pair.target.place for pair in matching.pairs}
    own = fed - {pair.target.place for pair in matching.pairs if pair.repeat or pair.target.key in matching.reused}
    found: set[int] = set()
    for index, node in enumerate(target.graph):
        if node.op == "add" and len(node.inputs) == 2 and _goes_on(target, index, fed):
            ends = [silencers(target, i) for i in node.inputs]
            for branch, shortcut in (ends, ends[::-1]):
                if branch and branch <= own and not shortcut & fed:
                    found |= shortcut
    return found


def _goes_on(target: Architecture, node: int, fed: Collection[int]) -> bool:
    """Tell whether the source goes on behind a node of the target, or the target ends there."""
    behind = {target.graph[i].layer for i in walked(target.readers[node], target.readers.__getitem__)} - {-1}
    return not behind or not behind.isdisjoint(fed)


def normed_shortcut(target: Architecture, members: Collection[int]) -> tuple[int, set[int], bool] | None:
    """Return the norm that passes on what an added block of the layers `members` takes, the layers that end what is
    added to it, and whether the block then gives what it takes; None if it is no sum around a norm."""
    graph = target.graph
    for index, node in enumerate(graph):
        if node.layer not in members or target.layers[node.layer].tensor("running_var") is None:
            continue
        top = _whole_sum(target, index)
        terms = [i for i in walked([top], lambda i: graph[i].inputs if graph[i].op == "add" else ()) if i != index]
        ends = [silencers(target, i) for i in terms if graph[i].op != "add"]
        if ends and all(end and end <= {*members} for end in ends) and makers(graph, node.inputs).isdisjoint(members):
            before, behind = next(ops_before(target, index), ""), {*ops_behind(target, top)}
            return node.layer, set[int]().union(*ends), not behind or (behind == {before} and before in IDEMPOTENT)
    return None


def _whole_sum(target: Architecture, index: int) -> int:
    """Return the sum, or the sum of sums, that alone reads a node; the node itself if there is none."""
    while len(readers := target.readers[index]) == 1 and target.graph[readers[0]].op == "add":
        index = readers[0]
    return index
