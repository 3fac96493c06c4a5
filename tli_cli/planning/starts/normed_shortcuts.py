"""Added blocks whose shortcut is a batch norm of its own, as in RepVGG (arXiv 2101.03697)."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.architecture import Architecture
from tli_cli.describe.walks import walked
from tli_cli.matching.settings import IDEMPOTENT
from tli_cli.planning.identity import silencers
from tli_cli.planning.starts.chains import ops_before, ops_behind


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
        if ends and all(end and end <= {*members} for end in ends) and _takes_input(target, index, members):
            before, behind = next(ops_before(target, index), ""), {*ops_behind(target, top)}
            return node.layer, set[int]().union(*ends), not behind or (behind == {before} and before in IDEMPOTENT)
    return None


def _whole_sum(target: Architecture, index: int) -> int:
    """Return the sum, or the sum of sums, that alone reads a node; the node itself if there is none."""
    while len(readers := target.readers[index]) == 1 and target.graph[readers[0]].op == "add":
        index = readers[0]
    return index


def _takes_input(target: Architecture, index: int, members: Collection[int]) -> bool:
    """Tell whether none of the layers `members` makes what a node takes."""
    graph = target.graph
    made = walked(graph[index].inputs, lambda i: graph[i].inputs if graph[i].layer < 0 else ())
    return all(graph[i].layer not in members for i in made)
