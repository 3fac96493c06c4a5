"""The blocks that a target adds: which of their layers start so that the blocks change nothing.

Residual branches end in zeros, plain chains of layers start as the identity (`chains.py`), and norms on the stream
itself are put one in place of another (`stream_norms.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby

from tli_cli.architecture import Architecture
from tli_cli.matching.followers import normalised_layers
from tli_cli.matching.segments import Block
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import branch_ends, ends_by_name
from tli_cli.planning.starts.chains import chain_layers
from tli_cli.planning.starts.stream_norms import Settled, stream_norms


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
    matching: Matching,
    blocks: Collection[Block],
    settled: Settled,
) -> Additions:
    """Return how the added ones among the target's `blocks` start. Norms `settled` are the source's own in place of
    those that pass on what they normalise."""
    passing = {place for places in settled.values() for place in places}
    ends, bypassed, chains, inexact = set[int](), set[int](), {*passing}, set[int]()
    new = [block.units for block in blocks if block.name in matching.added_blocks]
    added = {unit.place for units in new for unit in units}
    for units in new:
        members = {unit.place for unit in units}
        around = passing_shortcuts(target, members)
        found = branch_ends(target, units, added, passing | around) if target.graph else ends_by_name(units, blocks)
        ends |= found
        norms = stream_norms(target, units)
        if norms and not {*norms} & (settled.keys() | passing):
            inexact |= found
        elif found:
            bypassed |= members.difference(norms)
        chain = around if found else chain_layers(target, units)
        chains |= chain
        idle = all(target.layers[i].kind != "norm" or target.layers[i].tensor("running_var") for i in chain)
        inexact |= set() if target.graph and idle else chain  # no other norms pass on what they get
    chains |= _within_blocks(target, matching) if target.graph else set()
    return Additions(ends, bypassed, chains, inexact, passing)


def _within_blocks(target: Architecture, matching: Matching) -> set[int]:
    """Return the layers of plain chains without norms that blocks have more of than the source's, of stages that work
    alike."""
    normed = {place for pair in normalised_layers(target).items() for place in pair}
    blocks = (block for pair in matching.stages if pair.kinship == 1 for block in pair.target.blocks)
    units = [unit for block in blocks if block.name not in matching.added_blocks for unit in block.units]
    runs = groupby(units, lambda unit: (unit.key in matching.reused and unit.place not in normed, unit.home))
    return {place for (added, _), run in runs if added for place in chain_layers(target, run)}


def passing_shortcuts(target: Architecture, members: Collection[int]) -> set[int]:
    """Return the scales and batch norms among the layers `members` of an added block that act on what goes around its
    branches, as in MetaFormer (arXiv 2210.13452) and RepVGG (arXiv 2101.03697)."""
    graph, readers, layers = target.graph, target.readers, target.layers
    kinds = [i for i in members if layers[i].kind == "scale" or layers[i].tensor("running_var")]
    summed = (i for i, n in enumerate(graph) if n.layer in kinds and {graph[j].op for j in readers[i]} == {"add"})
    return {graph[i].layer for i in summed if any(len(readers[j]) > 1 for j in graph[i].inputs)}
