"""What two networks give are classes where nothing else of them has another size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, Architecture
from tli_cli.describe.last_layers import UNBOUNDED
from tli_cli.describe.spaces import leaves
from tli_cli.describe.walks import makers
from tli_cli.noted import OUTPUTS


def with_classes(*sides: Architecture) -> Sequence[Architecture]:
    """Return two networks, what they give as classes if that alone differs in size and no product sums over it: layers
    that take it as well, as a last block with a shortcut does or a critic, make no features of it."""
    given = [_given(side) if side.graph else set[int]() for side in sides]
    channels = [_made(side, range(len(side.layers))) for side in sides]
    sizes = [sorted(side.size_of(i) for i in found) for side, found in zip(sides, given, strict=True)]
    others = [sorted(s.size_of(i) for i in c - found) for s, c, found in zip(sides, channels, given, strict=True)]
    if not all(given) or sizes[0] == sizes[1] or others[0] != others[1]:
        return sides
    spaces = [[replace(s, kind="classes") if i in found else s for i, s in enumerate(side.spaces)]
              for side, found in zip(sides, given, strict=True)]  # fmt: skip
    return [replace(side, spaces=tuple(marked)) for side, marked in zip(sides, spaces, strict=True)]


def _given(side: Architecture) -> set[int]:
    """Return the channels of a network's outputs that layers make, whatever else takes them, but for products; none
    that an activation without bounds has gone over, which are features."""
    graph = side.graph
    taken = {i for node in graph for i in node.inputs}
    bent = {i for node in graph if node.op in UNBOUNDED for i in node.inputs}
    summed = {i for node in graph if node.op == "matmul" for i in node.inputs}
    last = {place for place, layer in enumerate(side.layers) if layer.noted(OUTPUTS)}
    nodes = [(i, node) for i, node in enumerate(graph) if node.op not in UNBOUNDED and i not in bent]
    given = {i for i, node in nodes if i not in taken or node.layer in last}
    return _made(side, makers(graph, given)) - _made(side, makers(graph, summed)) - side.dotted


def _made(side: Architecture, places: Collection[int]) -> set[int]:
    """Return the channels that the layers with weights among `places` make."""
    layers = [side.layers[place] for place in places if side.layers[place].kind in LINEAR]
    made = {leaf for layer in layers for tree in side.made(layer.tensor("weight")) for leaf in leaves(tree)}
    return {leaf for leaf in made if side.spaces[leaf].kind == "channels"}
