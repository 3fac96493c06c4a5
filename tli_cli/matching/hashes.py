"""Fingerprints of a unit's surroundings: everything before it, everything behind it, in the execution graph.

Two networks that compute the same function have the same fingerprints whatever their names, their order of definition
or their library, so that a layer is found by its place and not by the alphabet (a Weisfeiler-Lehman refinement on
an acyclic graph, Shervashidze et al., JMLR 12, 2011, run to its full depth).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from tli_cli.architecture import Architecture, Node
from tli_cli.matching.units import Key, Unit

ORDERED = {"cat", "matmul"}
JOINS = {"add", "mul", "cat", "matmul"}
COMMUTATIVE = {"add", "mul"}
HEAD = -2
"""The part that a table of tokens is given where it serves as the head as well."""


@dataclass(frozen=True)
class UnitGraph:
    """The execution graph reduced to units and joins: `labels` are unit keys, or join names; `inputs` are in order."""

    labels: tuple[Key | str, ...]
    inputs: tuple[tuple[int, ...], ...]


def unit_graph(
    architecture: Architecture, units: Sequence[Unit], acts: Callable[[str], str] = lambda op: ""
) -> UnitGraph:
    """Return the graph of units and joins alone, and of the activations that `acts` gives a name."""
    reduced = _Reduced(architecture, units, acts)
    for node in architecture.graph:
        reduced.take(node)
    return _flattened(UnitGraph(tuple(reduced.labels), tuple(reduced.inputs)))


class _Reduced:
    """The graph of units as it grows, node by node of the whole graph."""

    def __init__(self, architecture: Architecture, units: Sequence[Unit], acts: Callable[[str], str]) -> None:
        self.labels: list[Key | str] = []
        self.inputs: list[tuple[int, ...]] = []
        self._architecture, self._acts = architecture, acts
        self._known = {unit.key for unit in units}
        self._fused = {unit.place for unit in units if unit.part >= 0}
        self._tables = {unit.place for unit in units if unit.kind == "embedding"}
        self._became: list[tuple[int, ...]] = []
        self._behind_a_layer: list[bool] = []
        self._parts: dict[Key, int] = {}

    def take(self, node: Node) -> None:
        """Add what a node is here, if it is anything."""
        before = tuple(j for i in node.inputs for j in self._became[i])
        fed = any(self._behind_a_layer[i] for i in node.inputs)
        self._became.append(self._of(node, before, fed))
        self._behind_a_layer.append(fed or node.layer >= 0)

    def _of(self, node: Node, before: tuple[int, ...], fed: bool) -> tuple[int, ...]:
        if node.op == "input":
            return self._add("input", ())
        if node.op == "layer" and (made := self._layer(node, before, fed)) is not None:
            return made
        if node.op == "part" and self._architecture.graph[node.inputs[0]].layer in self._fused:
            return self._part((self._architecture.graph[node.inputs[0]].layer, node.index), before)
        if node.op in JOINS and len(set(before)) > 1:
            return self._add(node.op, before)
        if before and (said := self._acts(node.op)):
            return self._add(said, before)
        return tuple(dict.fromkeys(before))[:1]

    def _layer(self, node: Node, before: tuple[int, ...], fed: bool) -> tuple[int, ...] | None:
        """Return what a layer is here; None if it is no unit."""
        key = (node.layer, -1)
        if node.layer in self._fused or _is_a_step(self._architecture, node):
            return before
        if key in self._known and self._architecture.layers[node.layer].is_added and before:
            return self._add("add", (*before, *self._add(key, ())))
        if fed and node.layer in self._tables:
            return self._add((node.layer, HEAD), before)
        return self._add(key, before) if key in self._known else None

    def _part(self, key: Key, before: tuple[int, ...]) -> tuple[int, ...]:
        if key not in self._parts and key in self._known:
            self._parts[key] = self._add(key, before)[0]
        return (self._parts[key],) if key in self._parts else before

    def _add(self, label: Key | str, before: tuple[int, ...]) -> tuple[int, ...]:
        self.labels.append(label)
        self.inputs.append(before)
        return (len(self.labels) - 1,)


def _is_a_step(architecture: Architecture, node: Node) -> bool:
    """Tell whether a node goes on with the layer that made what it takes, as a norm does that is written out."""
    return len(node.inputs) == 1 and architecture.graph[node.inputs[0]].layer == node.layer


def _flattened(graph: UnitGraph) -> UnitGraph:
    """Return the graph with sums of sums and products of products in one: `(a + b) + c` is `a + (b + c)`."""
    uses = Counter(i for before in graph.inputs for i in before)
    labels: list[Key | str] = []
    inputs: list[tuple[int, ...]] = []
    became: list[tuple[int, ...]] = []
    behind = {i: graph.labels[index] for index, before in enumerate(graph.inputs) for i in before}
    for index, (label, before) in enumerate(zip(graph.labels, graph.inputs, strict=True)):
        moved = tuple(j for i in before for j in became[i])
        if label in COMMUTATIVE and uses[index] == 1 and behind[index] == label:
            became.append(moved)
            continue
        labels.append(label)
        inputs.append(moved)
        became.append((len(labels) - 1,))
    return UnitGraph(tuple(labels), tuple(inputs))


def forward_hashes(graph: UnitGraph, labels: dict[Key, Hashable], depth: int | None = None) -> dict[Key, int]:
    """Return for each unit a hash of its label and of everything that feeds it, at most `depth` steps away if given;
    else of what nothing feeds, such as a table of biases, with everything that feeds what it is joined to."""
    producers = [[(i, _slot(graph, index, slot)) for slot, i in enumerate(f)] for index, f in enumerate(graph.inputs)]
    values = _refined(graph, labels, producers, range(len(producers)), depth)
    fed = list(values)
    for index, before in enumerate(graph.inputs if depth is None else ()):
        for i in before:
            if not graph.inputs[i] and graph.labels[i] != "input":
                values[i] = hash((values[i], fed[index]))
    return _of_units(graph, values)


def company_hashes(graph: UnitGraph, labels: dict[Key, Hashable]) -> dict[Key, int]:
    """Return for each unit a hash of all that feeds what it is joined to, where it is joined to anything."""
    producers = [[(i, _slot(graph, index, slot)) for slot, i in enumerate(f)] for index, f in enumerate(graph.inputs)]
    values = _refined(graph, labels, producers, range(len(producers)), None)
    beside: list[list[int]] = [[] for _ in graph.labels]
    for before in graph.inputs:
        for i in before:
            beside[i] += [values[other] for other in before if other != i]
    return _of_units(graph, [hash(tuple(sorted(found))) for found in beside])


def backward_hashes(graph: UnitGraph, labels: dict[Key, Hashable], depth: int | None = None) -> dict[Key, int]:
    """Return for each unit a hash of its label and of everything that it feeds, at most `depth` steps away if given."""
    consumers: list[list[tuple[int, int]]] = [[] for _ in graph.labels]
    for index, before in enumerate(graph.inputs):
        for slot, i in enumerate(before):
            consumers[i].append((index, _slot(graph, index, slot)))
    return _of_units(graph, _refined(graph, labels, consumers, reversed(range(len(consumers))), depth))


def _slot(graph: UnitGraph, index: int, slot: int) -> int:
    """Return which input of a node one is, as far as that matters."""
    return slot if graph.labels[index] in ORDERED else 0


def _refined(
    graph: UnitGraph,
    labels: dict[Key, Hashable],
    neighbours: Sequence[Sequence[tuple[int, int]]],
    order: Iterable[int],
    depth: int | None,
) -> list[int]:
    """Return for each node a hash of its label and of its neighbours': of all of them, where these come before it in
    `order`, or within `depth` steps."""
    own = [label if isinstance(label, str) else labels[label] for label in graph.labels]
    values = [hash(label) for label in own]

    def refined(index: int) -> int:
        return hash((own[index], tuple(sorted((slot, values[i]) for i, slot in neighbours[index]))))

    for index in order if depth is None else ():
        values[index] = refined(index)
    for _ in range(depth or 0):
        values = list(map(refined, range(len(own))))
    return values


def _of_units(graph: UnitGraph, values: Sequence[int]) -> dict[Key, int]:
    return {label: values[i] for i, label in enumerate(graph.labels) if not isinstance(label, str)}
