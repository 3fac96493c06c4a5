"""The layers of a checkpoint beside those of its kin, in the units that the checkpoint lacks or repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tli_cli.architecture import Architecture, Node
from tli_cli.describe.spelling import enclosing, natural
from tli_cli.grouping import grouped
from tli_cli.kinship.regions import Flow, Region, rebuilt

Copies = Mapping[str, Mapping[str, Mapping[int, int]]]
"""Unit of the known network -> unit of the checkpoint -> known layer -> layer of the checkpoint."""


@dataclass(frozen=True, slots=True)
class Member:
    """A layer of the checkpoint: the known layer that it is like, its path, block and tensors (by the known names)."""

    like: int
    path: str
    block: str
    tensors: Mapping[str, str]


class Units:
    """What the checkpoint repeats or lacks as a whole: blocks, or modules of several blocks that repeat together, such
    as attention and feed-forward network of one layer."""

    def __init__(self, known: Architecture, members: Sequence[Member]) -> None:
        self._blocks = [layer.block for layer in known.layers]
        cuts: dict[str, int] = {}
        for member in members:
            block = self._blocks[member.like]
            if member.block != block:
                cuts[block] = min(cuts.get(block, len(block)), _first_difference(block, member.block))
        self._repeated = {".".join(block.split(".")[:length]) for block, length in cuts.items()}

    def of_layer(self, place: int) -> str:
        """Return the unit of the known layer at `place`."""
        outer = enclosing(self._blocks[place])
        return next((module for module in outer if module in self._repeated), self._blocks[place])

    def of_member(self, member: Member) -> str:
        """Return the unit of the checkpoint that `member` stands in."""
        return ".".join(member.block.split(".")[: self.of_layer(member.like).count(".") + 1])


def _first_difference(block: str, other: str) -> int:
    """Return how many parts of `block` there are up to the first that is not that of `other`."""
    pairs = zip(block.split("."), other.split("."), strict=False)
    return next((i + 1 for i, (mine, theirs) in enumerate(pairs) if mine != theirs), block.count(".") + 1)


def in_order(members: Sequence[Member], known: Architecture) -> list[Member]:
    """Return `members` as the known layers are, copies of a unit behind it, in the order of their names."""
    units = Units(known, members)
    last = {units.of_layer(place): place for place in range(len(known.layers))}

    def rank(member: Member) -> tuple[int, tuple[tuple[int, int, str], ...], int]:
        unit, own = units.of_layer(member.like), units.of_member(member)
        return (last[unit], natural(own), member.like) if own != unit else (member.like, (), member.like)

    return sorted(members, key=rank)


def copies_of(units: Units, members: Sequence[Member]) -> Copies:
    """Return what each of the known network's `units` is in the checkpoint, by places in `members`."""
    found: dict[str, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for place, member in enumerate(members):
        found[units.of_layer(member.like)][units.of_member(member)][member.like] = place
    return found


def graph_of(known: Architecture, members: Sequence[Member]) -> tuple[Node, ...] | None:
    """Return the known graph without the units that the checkpoint lacks, and with those that it repeats; None where
    what it repeats is none that one value of its row enters and one leaves."""
    flow, units = Flow(known), Units(known, members)
    copies = copies_of(units, members)
    run = (index for index, node in enumerate(known.graph) if node.layer >= 0)
    nodes = grouped(run, lambda index: units.of_layer(known.graph[index].layer))
    kept = {layer: place for unit, own in copies.items() for layer, place in own.get(unit, {}).items()}
    gone: dict[int, int] = {}
    repeats: dict[int, list[tuple[Region, Mapping[int, int]]]] = defaultdict(list)
    for unit in dict.fromkeys(units.of_layer(place) for place in range(len(known.layers))):
        own = copies.get(unit, {})
        others = [own[name] for name in sorted(own, key=natural) if name != unit]
        if unit not in nodes or (unit in own and not others):
            continue
        region = flow.region(nodes[unit])
        if region is None:
            if others:
                return None
            continue
        if unit not in own:
            gone |= {index: region.entry for index in region.nodes}
        repeats[region.exit].extend((region, layers) for layers in others)
    return rebuilt(known.graph, gone, kept, repeats)
