"""Which activations two networks use, and where: equal tensors do not give equal outputs behind others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tli_cli.architecture import Architecture, Node
from tli_cli.describe.walks import walked
from tli_cli.matching.settings import ACTIVATIONS, IDEMPOTENT
from tli_cli.planning.identity import silencers

Before = tuple[tuple[str, ...], str]


OF_FILES = ("file", "inferred", "recognised")
"""Where the order of layers comes from where names alone tell of them, whatever graph they are taken to have."""


def changed_activations(source: Architecture, target: Architecture) -> tuple[str, ...]:
    """Return a note on the activations of either side that the other lacks; nothing where a graph is not known."""
    theirs, mine = (ACTIVATIONS.intersection(node.op for node in side.graph) for side in (source, target))
    if not source.graph or not target.graph or theirs == mine:
        return ()
    sides = (("source", theirs - mine), ("target", mine - theirs))
    told = [f"the {side} alone has {', '.join(sorted(only))}" for side, only in sides if only]
    return (f"activations differ: {', '.join(told)}",)


def activations_before(
    architecture: Architecture, idle: Collection[int] = (), passing: Collection[int] = ()
) -> Mapping[int, Before]:
    """Return for each layer, by its place, the activations since the last layer or join, and what that was.

    What the layers `idle` add to a sum is nothing, the sum what they are added to; norms `passing` are no layers.
    """
    graph = architecture.graph
    found: dict[int, Before] = {}
    for node in graph:
        if node.op != "layer" or len(node.inputs) != 1:
            continue
        ops: list[str] = []
        before = graph[node.inputs[0]]
        while (through := _through(architecture, before, idle, passing)) >= 0:
            again = ops[-1:] == [before.op] and before.op in IDEMPOTENT
            ops += [before.op] if before.op in ACTIVATIONS and not again else []
            before = graph[through]
        found.setdefault(node.layer, (tuple(ops), "add" if _adds(architecture, before) else before.op))
    return found


def _adds(architecture: Architecture, node: Node) -> bool:
    """Tell whether a node adds a table of positions to what it takes."""
    return node.layer >= 0 and bool(node.inputs) and architecture.layers[node.layer].is_added


def _through(architecture: Architecture, node: Node, idle: Collection[int], passing: Collection[int]) -> int:
    """Return the one input that makes the value of a node that is no layer; -1 where there are several."""
    inputs = node.inputs
    passes = node.layer in passing or (_adds(architecture, node) and node.layer in idle)
    if node.op == "layer" and not passes:
        return -1
    if node.op == "add" and len(inputs) == 2 and idle:
        silent = [silencers(architecture, i) for i in inputs]
        inputs = tuple(i for i, layers in zip(inputs, silent, strict=True) if not layers or not layers.issubset(idle))
    return inputs[0] if len(inputs) == 1 else -1


def readers_behind(architecture: Architecture, place: int) -> set[int]:
    """Return the layers, by place, that read what a layer makes, as it is or through activations; -1 for a join."""
    graph, readers = architecture.graph, architecture.readers
    ends = {i for i, node in enumerate(graph) if node.op == "layer" or len(node.inputs) > 1}
    first = (reader for i, node in enumerate(graph) if node.layer == place for reader in readers[i])
    return {graph[i].layer for i in walked(first, lambda i: () if i in ends else readers[i]) if i in ends}


def directly_behind(architecture: Architecture) -> frozenset[int]:
    """Return the layers of a bare file, by place, that stand in a list right behind another layer, where the list also
    counts what holds no tensors: no activation is between the two."""
    if architecture.order_from not in OF_FILES:
        return frozenset()
    paths = [layer.path.split(".") for layer in architecture.layers]
    listed = [(".".join(path[:at]), int(part), i) for i, path in enumerate(paths) for at, part in _numbers(path)]
    lists: dict[str, dict[int, int]] = {}
    for holder, number, place in listed:
        lists.setdefault(holder, {}).setdefault(number, place)
    leaves = {layer.path for layer in architecture.layers}
    return frozenset(
        place
        for holder, items in lists.items()
        if len(items) <= max(items)
        for number, place in items.items()
        if f"{holder}.{number - 1}".strip(".") in leaves and _begins(architecture.layers[place].path, holder, number)
    )


def _numbers(path: Sequence[str]) -> list[tuple[int, str]]:
    return [(at, part) for at, part in enumerate(path) if part.isdecimal()]


def _begins(path: str, holder: str, number: int) -> bool:
    """Tell whether nothing is counted ahead of a layer in item `number` of a list."""
    inside = path.removeprefix(f"{holder}.{number}".strip(".")).split(".")
    return not any(part.isdecimal() and int(part) for part in inside)


def differ(mine: Before, theirs: Before) -> bool:
    """Tell whether two layers are known to stand behind different activations, or only one of them behind a sum."""
    return {mine[1], theirs[1]} == {"add", "layer"} or (mine[1] == theirs[1] and mine[0] != theirs[0])
