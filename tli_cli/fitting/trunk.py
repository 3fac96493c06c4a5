"""The points of a network that everything passes: where two networks can be held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tli_cli.architecture import LINEAR, Architecture, AxisTree
from tli_cli.plan import Point

ACTIVATIONS = ("relu", "hardtanh", "silu", "gelu", "hardswish", "leaky_relu", "elu", "mish", "sigmoid", "tanh")


@dataclass(frozen=True)
class Place:
    """A point, the channels that run there, the layer that makes them and at how many places."""

    point: Point
    tree: AxisTree
    index: int
    count: int


def trunk_points(architecture: Architecture) -> tuple[Place, ...]:
    """Return the points of `architecture` at which a linear map ends, in execution order, but the classifier's."""
    found = list(_points(architecture))
    layers = architecture.layers
    last_of_block = {p.point.block or layers[p.index].block or layers[p.index].path: p.index for p in found}
    full = {  # convolutions over places and channels, as plain networks are made of
        i
        for i, layer in enumerate(layers)
        if layer.kind == "conv" and max(layer.attribute("kernel", (1,))) > 1 and layer.attribute("groups", 1) == 1
    }
    kept = [p for p in found if p.point.block or p.index in full or p.index in last_of_block.values()]
    trees = ((place, _output_tree(architecture, place.index)) for place in kept)
    return tuple(p for p, t in trees if not (isinstance(t, int) and architecture.spaces[t].kind == "classes"))


def _points(architecture: Architecture) -> Iterator[Place]:
    trunk = _trunk(architecture)
    for index, node in enumerate(architecture.graph):
        if index not in trunk:
            continue
        if node.op == "add" and len(node.inputs) == 2:
            yield from _joined(architecture, index)
        elif node.op == "layer" and architecture.layers[node.layer].kind in LINEAR:
            place = _chained(architecture, index)
            if place is not None:
                yield place


def _trunk(architecture: Architecture) -> set[int]:
    """Return the nodes that lie on every path from the input to the output, found by counting paths."""
    graph, readers = architecture.graph, architecture.readers
    inputs = [i for i, node in enumerate(graph) if node.op == "input"]
    if len(inputs) != 1:
        return set()
    down, up = [0] * len(graph), [0] * len(graph)
    down[inputs[0]] = 1
    for index, node in enumerate(graph):
        down[index] += sum(down[i] for i in node.inputs)
    reached = [i for i in range(len(graph)) if down[i]]
    for index in reversed(reached):
        up[index] = sum(up[i] for i in readers[index]) or (1 if not readers[index] else 0)
    total = up[inputs[0]]
    return {i for i in reached if down[i] * up[i] == total}


def _joined(architecture: Architecture, index: int) -> Iterator[Place]:
    graph, readers = architecture.graph, architecture.readers
    depths: list[int] = []  # the longest path to each node: of two operands of a sum, the deeper one is the branch
    for node in graph[:index]:
        depths.append(1 + max((depths[i] for i in node.inputs), default=0))
    for operand in sorted(graph[index].inputs, key=lambda i: (depths[i], i), reverse=True):
        norm = scale = ""
        while graph[operand].op == "layer" and architecture.layers[graph[operand].layer].kind in ("norm", "scale"):
            layer = architecture.layers[graph[operand].layer]
            norm, scale = (layer.path, scale) if layer.kind == "norm" else (norm, layer.path)
            operand = graph[operand].inputs[0]
        node = graph[operand]
        if node.op != "layer" or architecture.layers[node.layer].kind not in LINEAR or len(readers[operand]) != 1:
            continue
        layer = architecture.layers[node.layer]
        block = layer.block if layer.path.startswith(layer.block + ".") else ""
        tree = _output_tree(architecture, node.layer)
        if block and tree is not None:
            point = Point(layer.path, norm, scale, block, _activation(architecture, index))
            yield Place(point, tree, node.layer, layer.attribute("positions", 0))
            return


def _chained(architecture: Architecture, index: int) -> Place | None:
    graph, readers = architecture.graph, architecture.readers
    layer, tree = architecture.layers[graph[index].layer], _output_tree(architecture, graph[index].layer)
    if tree is None:
        return None
    norm, end = "", index
    after = readers[index]
    if len(after) == 1 and graph[after[0]].op == "layer" and architecture.layers[graph[after[0]].layer].kind == "norm":
        following = architecture.layers[graph[after[0]].layer]
        if following.attribute("norm") == "batch" or len(readers[graph[after[0]].inputs[0]]) == 1:  # read there alone
            norm, end = following.path, after[0]
    point = Point(layer.path, norm, "", "", _activation(architecture, end))
    return Place(point, tree, graph[index].layer, layer.attribute("positions", 0))


def _activation(architecture: Architecture, index: int) -> str:
    after = architecture.readers[index]
    op = architecture.graph[after[0]].op if len(after) == 1 else ""
    return op if op in ACTIVATIONS else ""


def _output_tree(architecture: Architecture, layer: int) -> AxisTree | None:
    return next(iter(architecture.made(architecture.layers[layer].tensor("weight"))), None)
