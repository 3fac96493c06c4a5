"""The blocks that a target adds: which of their layers start so that the blocks change nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tli_cli.architecture import Architecture
from tli_cli.matching.segments import Block
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import branch_ends
from tli_cli.planning.starts.chains import chain_layers, passes_unchanged
from tli_cli.planning.starts.post_norms import stream_norms
from tli_cli.planning.starts.shortcuts import normed_shortcut


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
