"""What two networks give are classes where nothing else of them has another size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, OUTPUTS, Architecture
from tli_cli.describe.last_layers import UNBOUNDED
from tli_cli.describe.spaces import leaves
from tli_cli.describe.walks import walked

CARRIED = ("norm", "scale", "position", "bias", "bias_table")
"""Kinds of layers that give the channels that they take."""


def with_classes(*sides: Architecture) -> Sequence[Architecture]:
    """Return two networks, what they give as classes if that alone differs in size and no product sums over it: layers
    that take it as well, as a last block with a shortcut does or a critic, make no features of it."""
    given = [_given(side) if side.graph else set[int]() for side in sides]
    channels = [{i for i, space in enumerate(side.spaces) if space.kind == "channels"} for side in sides]
    sizes = [sorted(side.size_of(i) for i in found) for side, found in zip(sides, given, strict=True)]
    others = [sorted(s.size_of(i) for i in c - found) for s, c, found in zip(sides, channels, given, strict=True)]
    if not all(given) or sizes[0] == sizes[1] or others[0] != others[1]:
        return sides
    spaces = [[replace(s, kind="classes") if i in found else s for i, s in enumerate(side.spaces)]
              for side, found in zip(sides, given, strict=True)]  # fmt: skip
    return [replace(side, spaces=tuple(marked)) for side, marked in zip(sides, spaces, strict=True)]


def _given(side: Architecture) -> set[int]:
    """Return the channels of a network's outputs that layers make, whatever else takes them; none that an activation
    without bounds has gone over, which are features."""
    graph, kinds = side.graph, [layer.kind for layer in side.layers]
    taken = {i for node in graph for i in node.inputs}
    bent = {i for node in graph if node.op in UNBOUNDED for i in node.inputs}
    last = {place for place, layer in enumerate(side.layers) if any(n[0] == OUTPUTS for n in layer.numbers)}
    nodes = [(i, node) for i, node in enumerate(graph) if node.op not in UNBOUNDED and i not in bent]
    ends = [i for i, node in nodes if i not in taken or node.layer in last]
    stops = {i for i, n in enumerate(graph) if n.op == "matmul" or (n.layer >= 0 and kinds[n.layer] not in CARRIED)}
    met = {i for node in graph if node.op == "matmul" for i in node.inputs}
    given, summed = (walked(starts, lambda i: () if i in stops else graph[i].inputs) for starts in (ends, met))
    places = {graph[i].layer for i in given} - {graph[i].layer for i in summed}
    names = [side.layers[i].tensor("weight") or "" for i in places if i >= 0 and kinds[i] in LINEAR]
    made = [axis.tree for name in names for axis in side.axes.get(name, ()) if not axis.contracted]
    return {leaf for tree in made for leaf in leaves(tree) if side.spaces[leaf].kind == "channels"} - side.dotted
