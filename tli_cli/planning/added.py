"""The blocks that a target adds: which of their layers start so that the blocks change nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tli_cli.architecture import Architecture
from tli_cli.matching.segments import Block
from tli_cli.matching.values import Matching
from tli_cli.planning.chains import chain_layers, passes_unchanged
from tli_cli.planning.identity import branch_ends, is_post_norm


@dataclass(frozen=True)
class Additions:
    """Layers of added blocks, by their places.

    `ends` end residual branches and give zero at first, `bypassed` are all layers of blocks that then add nothing,
    `chains` those of plain chains that start as the identity, and `inexact` the ends and chains of blocks that are not
    quite the identity for all that.
    """

    ends: Collection[int] = frozenset()
    bypassed: Collection[int] = frozenset()
    chains: Collection[int] = frozenset()
    inexact: Collection[int] = frozenset()


def additions(target: Architecture, source: Architecture, matching: Matching, blocks: Collection[Block]) -> Additions:
    """Return how the added ones among the target's `blocks` start."""
    ends, bypassed, chains, inexact = set[int](), set[int](), set[int](), set[int]()
    new = [block.units for block in blocks if block.name in matching.added_blocks]
    added = {unit.place for units in new for unit in units}
    for units in new:
        found = branch_ends(target, units, added)
        ends |= found
        if is_post_norm(target, units):
            inexact |= found
        elif found:
            bypassed |= {unit.place for unit in units}
        chain = set() if found else chain_layers(target, units)
        chains |= chain
        if chain and not passes_unchanged(target, source, units):
            inexact |= chain
    return Additions(ends, bypassed, chains, inexact)
