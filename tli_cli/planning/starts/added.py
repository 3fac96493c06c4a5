"""The blocks that a target adds: which of their layers start so that the blocks change nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tli_cli.architecture import Architecture
from tli_cli.describe.walks import makers, walked
from tli_cli.matching.segments import Block
from tli_cli.matching.settings import IDEMPOTENT
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import branch_ends, silencers
from tli_cli.planning.starts.chains import chain_layers, ops_before, ops_behind, passes_unchanged
from tli_cli.planning.starts.post_norms import stream_norms


@dataclass(frozen=True)
class Additions:
    """Layers of added blocks, by their places.

    `ends` end residual branches and give zero at first, `bypassed` are all layers of blocks that then add nothing,
    `chains` those of plain chains that start as the identity, `norms` those that pass on what has been normalised, and
    `inexact` the ends and chains of blocks that are not quite the identity for all that.
    """

    ends: Collection[int] = frozenset()
    bypassed: Collection[int] = frozenset()
    chains: Collection[int] = frozenset()
    inexact: Collection[int] = frozenset()
    norms: Collection[int] = frozenset()


def additions(
    target: Architecture,
    source: Architecture,
    matching: Matching,
    blocks: Collection[Block],
    settled: Mapping[int, Collection[int]],
) -> Additions:
    """Return how the added ones among the target's `blocks` start. Norms `settled` are the source's own in place of
    those that pass on what they normalise."""
    passing = {place for places in settled.values() for place in places}
    ends, bypassed, chains, inexact = set[int](), set[int](), {*passing}, set[int]()
    new = [block.units for block in blocks if block.name in matching.added_blocks]
    added = {unit.place for units in new for unit in units}
    for units in new:
        members = {unit.place for unit in units}
        if (shortcut := normed_shortcut(target, members)) is not None:
            norm, silent, passes = shortcut
            ends |= silent
            chains.add(norm)
            bypassed |= members if passes else set()
            inexact |= set() if passes else {norm, *silent}
            continue
        found = branch_ends(target, units, added, passing)
        ends |= found
        norms = stream_norms(target, units)
        if norms and not {*norms} & (settled.keys() | passing):
            inexact |= found
        elif found:
            bypassed |= members.difference(norms)
        chain = set() if found else chain_layers(target, units)
        chains |= chain
        if chain and not passes_unchanged(target, source, units):
            inexact |= chain
    return Additions(ends, bypassed, chains, inexact, passing)


def normed_shortcut(target: Architecture, members: Collection[int]) -> tuple[int, set[int], bool] | None:
    """Return the norm that passes on what an added block of the layers `members` takes, the layers that end what is
    added to it, and whether the block then gives what it takes; None if it is no sum around a norm, such as those of
    RepVGG (arXiv 2101.03697)."""
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
