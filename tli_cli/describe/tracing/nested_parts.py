"""Parts that are cut again: parts of a slice of a weight, and parts of a part of an output, are the layer's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import Node
from tli_cli.describe.spaces import leaves
from tli_cli.describe.tracing.recording import Recording
from tli_cli.grouping import gathered

POSITIONS = {"grid", "batch", "kernel"}


def unnested(recording: Recording) -> tuple[list[Node], dict[int, int]]:
    """Return the nodes with parts that are cut again as parts of the whole, and how long each part is; what is cut so
    is no part itself.

    So a projection of which one input makes the queries and another the keys and values has three parts, and one that
    is cut in two, the first of which is cut in queries, keys and values, has four.
    """
    nodes, sizes = _of_slices(recording), dict(recording.part_sizes)
    cuts = gathered((node.inputs[0], i) for i, node in enumerate(nodes) if node.op == "part" and node.inputs)
    rejoined = _rejoined(nodes)
    for whole, parts in cuts.items():
        lengths = {nodes[i].index: sizes.get(i, 0) for i in parts}
        starts = {i: sum(size for index, size in lengths.items() if index < nodes[i].index) for i in parts}
        inner = [i for i in parts if i in cuts and nodes[whole].layer >= 0 and i not in rejoined]
        runs = {i: run for i in inner if (run := _run(recording, i, starts[i], cuts[i]))}
        for part in parts if runs else ():
            run = runs.get(part, ())
            for i in cuts[part] if run else ():
                at = nodes[i].index
                sizes[i], nodes[i] = run[at], replace(nodes[i], inputs=(whole,), index=starts[part] + sum(run[:at]))
            nodes[part] = replace(nodes[part], index=-1 if run else starts[part])
    return nodes, sizes


def _rejoined(nodes: Sequence[Node]) -> set[int]:
    """Return what is cut in parts of which several come end to end again with nothing summed since, as where a rotary
    embedding turns some channels of a head alone."""
    reached: list[frozenset[int]] = []
    found = set[int]()
    for i, node in enumerate(nodes):
        before = frozenset[int]().union(*(reached[j] for j in node.inputs))
        if node.op == "cat":
            met = Counter(nodes[part].inputs[0] for part in before)
            found.update(whole for whole, count in met.items() if count > 1)
        summed = node.layer >= 0 or node.op == "matmul"
        reached.append(frozenset() if summed else before | {i} if node.op == "part" and node.inputs else before)
    return found


def _run(recording: Recording, part: int, start: int, cuts: Sequence[int]) -> tuple[int, ...]:
    """Return how long the parts are that a part of what a layer makes, which begins `start` channels from its start, is
    cut in again; empty if it is cut otherwise, as channels are that a rotary embedding turns."""
    table = recording.table
    tree, stop = table.resolve(recording.part_axes[part]), start + recording.part_sizes.get(part, 0)
    of_places = any(table.kinds(recording.part_axes[i]) & POSITIONS or i in recording.slices for i in cuts)
    if not isinstance(tree, tuple) or tree[0] != "+" or of_places:
        return ()
    children = [table.size(child) for child in tree[1:]]
    found = tuple(size for at, size in enumerate(children) if start <= sum(children[:at]) < stop)
    count = max(recording.nodes[i].index for i in cuts) + 1
    return found if len(found) == count > 1 and start + sum(found) == stop else ()


def part_sizes(recording: Recording) -> list[tuple[int, ...]]:
    """Return for each layer the sizes of the parts that its output is cut in, if they are not all equal."""
    table = recording.table
    found: list[dict[int, int]] = [{} for _ in recording.layers]
    whole = [0] * len(recording.layers)
    nodes, sizes = unnested(recording)
    for i, size in sizes.items():
        layer, tree = nodes[nodes[i].inputs[0]].layer, table.resolve(recording.part_axes[i])
        if layer >= 0 and not POSITIONS.intersection(map(table.kind, leaves(tree))):
            whole[layer] = max(whole[layer], table.size(tree))
            found[layer] |= {nodes[i].index: size} if nodes[i].index >= 0 else {}
    held = [tuple(size for _, size in sorted(parts.items())) for parts in found]
    return [s if len(set(s)) > 1 and sum(s) == total else () for s, total in zip(held, whole, strict=True)]


def _of_slices(recording: Recording) -> list[Node]:
    """Return the nodes with the parts of a slice of a weight as parts of the whole; a slice cut so is none itself."""
    nodes, table = list(recording.nodes), recording.table
    for i, node in enumerate(recording.nodes):
        before = node.inputs[0] if node.op == "part" else -1
        if before not in recording.slices:
            continue
        piece, cut = (table.resolve(tree) for tree in (recording.slices[before], recording.part_axes[i]))
        if isinstance(piece, tuple) and isinstance(cut, tuple) and (piece[0], len(piece)) == ("+", len(cut)):
            counted = node.index * table.size(piece) // table.size(cut)
            nodes[i] = replace(node, inputs=nodes[before].inputs, index=recording.nodes[before].index + counted)
            nodes[before] = replace(nodes[before], index=-1)
    return nodes


def part_ranks(nodes: Sequence[Node]) -> dict[int, int]:
    """Return which part of its input each part is, counted from the first: slices are recorded by where they start."""

    def origin(node: Node) -> tuple[bool, int]:
        before = nodes[node.inputs[0]]
        return (True, before.layer) if before.layer >= 0 else (False, node.inputs[0])

    parts = {i: node for i, node in enumerate(nodes) if node.op == "part" and node.inputs and node.index >= 0}
    starts = gathered((origin(node), node.index) for node in parts.values())
    return {i: sorted({*starts[origin(node)]}).index(node.index) for i, node in parts.items()}
