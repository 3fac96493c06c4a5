"""What a target has besides its source, within blocks that the source has too, and what starts by adding nothing there:
residual branches, tables of positions, and projections around branches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tli_cli.architecture import Architecture
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.describe.walks import makers, walked
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import silencers
from tli_cli.planning.starts.filled_branches import gains_branches
from tli_cli.planning.starts.foreign import holds

NO_SHORTCUT = "the source has no shortcut"
LONE_BRANCH = "the source has no such branch: it adds nothing at first"
TABLES = ("position", "bias_table")


@dataclass(frozen=True)
class Lone:
    """Layers by their places.

    `ends` of branches give zero at first, as `tables` that stand for themselves do, `passing` tables add zero to what
    they take, and `inner` layers only make what is then multiplied by zero.
    """

    ends: Collection[int] = frozenset()
    tables: Collection[int] = frozenset()
    passing: Collection[int] = frozenset()
    inner: Collection[int] = frozenset()

    @property
    def zeros(self) -> set[int]:
        """All that starts at zero."""
        return {*self.ends, *self.tables, *self.passing}


NO_BRANCH = Lone()


def lone_additions(target: Architecture, source: Architecture, matching: Matching) -> Lone:
    """Return what of the target, what feeds added blocks apart, adds to what its source computes.

    Nothing where the target does not hold all of the source, or where one of them has no graph.
    """
    if not (target.graph and source.graph and holds(matching)):
        return NO_BRANCH
    fed = {pair.target.place for pair in matching.pairs if pair.target.key not in matching.reused and not pair.repeat}
    paired = {pair.target.place for pair in matching.pairs}
    added = {unit.place for b in matching.target_blocks if b.name in matching.added_blocks for unit in b.units}
    own = {unit.place for unit in matching.targets} - fed - (added & paired)
    ends, inner = set[int](), set[int]()
    for node in target.graph:
        for branch in node.inputs if node.op == "add" and len(node.inputs) == 2 else ():
            skip = next((i for i in node.inputs if i != branch), branch)
            within, silent = _branch(target, branch, skip, own), silencers(target, branch)
            plain = all(target.layers[place].tensor(WITH_LENGTH) is None for place in silent)
            if silent and silent <= within and plain and skip != branch and (makers(target.graph, [skip]) & {*fed}):
                ends |= silent
                inner |= within - silent
    tables = {u.place for u in matching.targets if u.place not in paired and _is_table(target, u.place)}
    alone = {node.layer for node in target.graph if node.layer in tables and not node.inputs}
    return Lone(ends, tables & alone, (tables & target.run) - alone, inner - ends - tables)


def _branch(target: Architecture, node: int, skip: int, own: Collection[int]) -> set[int]:
    """Return the layers that make `node` of `skip`; none where some are not the target's own."""
    graph = target.graph
    layers = set[int]()
    for i in walked([node], lambda i: () if i == skip else graph[i].inputs):
        if i != skip and graph[i].layer >= 0:
            if graph[i].layer not in own:
                return set()
            layers.add(graph[i].layer)
    return layers


def _is_table(target: Architecture, place: int) -> bool:
    layer = target.layers[place]
    learned = all(not target.by_name[name].buffer for _, name in layer.tensors)
    return layer.kind in TABLES and learned and {role for role, _ in layer.tensors} == {"weight"}


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
