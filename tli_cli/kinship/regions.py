"""Blocks of an execution graph as regions that one value enters and one value leaves: to leave out, or to repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tli_cli.architecture import Architecture, Node

POOLS = ("max_pool", "avg_pool")


@dataclass(frozen=True)
class Region:
    """The nodes between `entry`, which is not among them, and `exit`, which is the last of them."""

    entry: int
    exit: int
    nodes: tuple[int, ...]


class Flow:
    """What every node of a graph must be reached by, and what it must go through, as sets of bits."""

    def __init__(self, architecture: Architecture, fixed: Collection[int] = ()) -> None:
        self.graph, self.users = architecture.graph, architecture.readers
        graph = self.graph
        self._architecture, self._fixed = architecture, set(fixed)
        self._before = [0] * len(graph)
        for index, node in enumerate(graph):
            given = [i for i in node.inputs if i not in self._fixed]
            if not given and node.op != "input":
                self._fixed.add(index)
            self._before[index] = _common(self._before[i] for i in given) | 1 << index
        self._behind = [0] * len(graph)
        for index in range(len(graph) - 1, -1, -1):
            self._behind[index] = _common(self._behind[i] for i in self.users[index]) | 1 << index

    def region(self, members: Sequence[int]) -> Region | None:
        """Return the smallest region around the nodes `members` that is closed by what joins it to its entry.

        None where other layers stand in it, or several values enter or leave, beside one that all units of the row take
        alike, as layers of a decoder take what the encoder makes.
        """
        found = self._region(members)
        if found is None and (beside := self._taken_by_all(members)):
            return Flow(self._architecture, beside)._region(members)
        return found

    def _taken_by_all(self, members: Sequence[int]) -> set[int]:
        """Return what comes in and is read by layers alone, all of which are called, numbers apart, as `members`."""
        own, names = set(members), {self._unnumbered(index) for index in members}
        entering = {i for index in members for i in self.graph[index].inputs if i not in own}
        return {i for i in entering if names.issuperset(map(self._unnumbered, self.users[i]))}

    def _unnumbered(self, index: int) -> str:
        """Return the path of a node's layer with all numbers alike."""
        layer = self.graph[index].layer
        return re.sub(r"\d+", "#", self._architecture.layers[layer].path) if layer >= 0 else ""

    def _region(self, members: Sequence[int]) -> Region | None:
        moving = [i for i in members if i not in self._fixed]
        if not moving:
            return None
        first, last = min(moving), max(members)
        before = _common(self._before[i] for i in moving)
        behind = _common(self._behind[i] for i in members)
        entry = (before & (1 << first) - 1).bit_length() - 1
        ahead = behind >> last
        if entry < 0 or not ahead:
            return None
        leaves = self._closed(entry, last + (ahead & -ahead).bit_length() - 1)
        between = {i for i in range(entry + 1, leaves + 1) if self._is_between(entry, i, leaves)}
        inside = sorted(between | self._fixed_within(members, leaves))
        alone = all(self.graph[i].layer < 0 for i in set(inside).difference(members))
        return Region(entry, leaves, tuple(inside)) if alone and self._is_closed(entry, leaves, inside) else None

    def _fixed_within(self, members: Sequence[int], leaves: int) -> set[int]:
        """Return those of `members` that are fixed, and what is made of them alone."""
        found = self._fixed.intersection(members)
        for index in range(min(found, default=leaves), leaves):
            if index in self._fixed and not found.isdisjoint(self.graph[index].inputs):
                found.add(index)
        return found

    def _closed(self, entry: int, leaves: int) -> int:
        """Go on from `leaves` through the sums and activations that take nothing but what the region makes."""
        while True:
            users = sorted(set(self.users[leaves]))
            node = self.graph[users[0]] if len(users) == 1 else None
            if node is None or node.layer >= 0 or node.op in (*POOLS, "cat", "part"):
                return leaves
            if any(i != entry and not self._is_between(entry, i, leaves) for i in {*node.inputs} - self._fixed):
                return leaves
            leaves = users[0]

    def _is_between(self, entry: int, index: int, leaves: int) -> bool:
        return bool(self._before[index] >> entry & 1 and self._behind[index] >> leaves & 1)

    def _is_closed(self, entry: int, leaves: int, inside: Sequence[int]) -> bool:
        """Tell whether nothing but `entry` and constants comes in, and nothing but `leaves` goes out."""
        own = {*inside, entry, *self._fixed}
        enters = all(i in own for index in inside for i in self.graph[index].inputs)
        return enters and all(user in own for index in inside if index != leaves for user in self.users[index])


def _common(sets: Iterable[int]) -> int:
    """Return what all sets of bits share; nothing of no sets."""
    found = -1
    for bits in sets:
        found &= bits
    return 0 if found == -1 else found


JOINS = ("add", "cat")

Copies = Mapping[int, Sequence[tuple[Region, Mapping[int, int]]]]
"""By exit node: the regions to repeat behind it, each with the layers that its layers become."""


def rebuilt(
    graph: Sequence[Node], gone: Mapping[int, int], kept: Mapping[int, int], copies: Copies
) -> tuple[Node, ...]:
    """Return `graph` without the nodes that `gone` replaces by others, and with the repeated regions.

    `kept` renumbers the layers; one that is not in it passes its input on.
    """
    return tuple(_Rebuilding(graph, gone).run(kept, copies))


class _Rebuilding:
    def __init__(self, graph: Sequence[Node], gone: Mapping[int, int]) -> None:
        self.graph, self.gone = graph, gone
        self.hollow: set[int] = set()
        self.made: list[Node] = []
        self.place: dict[int, int] = {}

    def run(self, kept: Mapping[int, int], copies: Copies) -> list[Node]:
        for index in range(len(self.graph)):
            if index in self.gone:
                continue
            self.place[index] = self._append(index, self._placed, kept)
            for region, layers in copies.get(index, ()):
                self.place[index] = self._repeat(region, layers, self.place[index])
        return self.made

    def _repeat(self, region: Region, layers: Mapping[int, int], entry: int) -> int:
        """Append a copy of `region` that takes what is made at `entry`, and return its last node."""
        own = {region.entry: entry}
        for index in region.nodes:
            own[index] = self._append(index, lambda i: own[i] if i in own else self._placed(i), layers)
        return own[region.exit]

    def _placed(self, index: int) -> int:
        while index in self.gone:
            index = self.gone[index]
        return self.place[index]

    def _append(self, index: int, placed: Callable[[int], int], layers: Mapping[int, int]) -> int:
        """Append node `index` and return its new place; a layer that is gone is its input, and so is what was made of
        it alone, which adds nothing to a join."""
        node = self.graph[index]
        full = tuple(i for i in node.inputs if i not in self.hollow) if node.op in JOINS else node.inputs
        inputs = tuple(placed(i) for i in full or node.inputs)
        gone = node.layer >= 0 and node.layer not in layers
        if inputs and (gone or (node.layer < 0 and self.hollow.issuperset(node.inputs))):
            self.hollow.add(index)
            return inputs[0]
        if len(full) < len(node.inputs) and len(full) == 1:
            return inputs[0]
        self.made.append(replace(node, inputs=inputs, layer=layers.get(node.layer, -1)))
        return len(self.made) - 1
