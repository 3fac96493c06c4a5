"""Which layer last shapes the queries of an attention: it makes up for another width of the heads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tli_cli.architecture import DOT, LINEAR, Architecture, AxisTree, Node
from tli_cli.describe.turned import head_factors, turned_channels
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.units import Key, Unit
from tli_cli.planning.roles import shares
from tli_cli.planning.walks import walked

PASSING = ("part", "add", "cat", "mul")
"""What may stand between a projection and the product: the turns of a rotary embedding."""
BEFORE_SOFTMAX = ("mul", "part", "layer", "gather", "where", *ACTIVATIONS)
"""What may stand between that product and the softmax, beside sums."""
REACH = 24
Makers = tuple[Key, ...]
"""The units that together make one side of a product."""


def query_makers(architecture: Architecture, units: Collection[Unit]) -> dict[Key, frozenset[int]]:
    """Return the keys of the units that make queries, by the graph, or by their roles where there is none; with each,
    the layers run from there until a softmax weighs the products.

    A norm of the queries stands for the projection before it, whose scale it takes away. Where an activation stands in
    between, as in linear attention, nothing scales the product by the heads' width.
    """
    if not architecture.graph:
        return {unit.key: frozenset() for unit in units if unit.role == "q"}
    keys = {unit.key for unit in units}
    return dict(_found(architecture, keys)) | {made: frozenset() for made in _of_dots(architecture, keys)}


def _found(architecture: Architecture, keys: Collection[Key]) -> Iterator[tuple[Key, frozenset[int]]]:
    graph = architecture.graph
    for index, node in enumerate(graph):
        if node.op != "softmax" or not node.inputs:
            continue
        for makers in _one_of_each(
            [_makers(architecture, i, keys) for i in graph[product].inputs if _meets_alone(architecture, i)]
            for product in _products(architecture, node.inputs[0])
        ):
            first = max(i for i in range(index) if graph[i].layer == makers[0][0])
            between = frozenset(n.layer for n in graph[first:index] if n.layer >= 0)
            yield from ((made, between) for made in makers)


def _of_dots(architecture: Architecture, keys: Collection[Key]) -> list[Key]:
    """Return one of the two units whose outputs meet channel by channel in each sum of products, and nowhere else, such
    as the factors of users and of items; none where that is not so of all such sums."""
    dots = [i for i, node in enumerate(architecture.graph) if node.op == "mul" and node.index == DOT]
    found = [_free_side(architecture, i, keys) for i in dots]
    return [made for made in found if made is not None] if None not in found else []


def _free_side(architecture: Architecture, product: int, keys: Collection[Key]) -> Key | None:
    """Return a unit that makes one side of a product and is used for nothing else."""
    graph, layers = architecture.graph, architecture.layers
    for start in graph[product].inputs:
        place = graph[start].layer
        alone = place >= 0 and set(architecture.readers[start]) == {product}
        once = sum(node.layer == place for node in graph) == 1
        if alone and once and layers[place].kind in (*LINEAR, "embedding") and (place, -1) in keys:
            return place, -1
    return None


def _one_of_each(products: Iterable[Sequence[Makers]]) -> list[Makers]:
    """Return the makers of one side of each product, so that none has both: queries, and what meets their keys beside
    them."""
    chosen: list[Makers] = []
    others: set[Makers] = set()
    for pair in products:
        known = [made for made in pair if made]
        if not any(made in chosen for made in known):
            chosen += [made for made in known if made not in others][:1]
        others.update(made for made in known if made not in chosen)
    return chosen


def innermost(architecture: Architecture, unit: Unit) -> AxisTree | None:
    """Return the innermost factor of what `unit` makes: the width of a head; None if that is not known."""
    for share in shares(architecture, unit):
        made = [axis.tree for axis in share.axes if not axis.contracted]
        if share.role == "weight" and made:
            width = head_factors(architecture, made[-1], turned_channels(architecture))
            return width[0] if len(width) == 1 else ("*", *width)
    return None


def _products(architecture: Architecture, start: int) -> list[int]:
    """Return the products of queries and keys before a softmax, in order: through what adds, picks and caps them."""
    graph = architecture.graph

    def through(index: int) -> Sequence[int]:
        node = graph[index]
        return node.inputs if node.op == "add" else node.inputs[:1] if node.op in BEFORE_SOFTMAX else ()

    met = (i for i in walked([start], through) if graph[i].op == "matmul" and len(graph[i].inputs) == 2)
    return sorted(i for i in met if not _weighs(architecture, graph[i]))


def _weighs(architecture: Architecture, product: Node) -> bool:
    """Tell whether a product weighs values by what a softmax made: no query meets its key there."""
    graph = architecture.graph
    for start in product.inputs:
        node = graph[start]
        while len(node.inputs) == 1 and node.op != "softmax":
            node = graph[node.inputs[0]]
        if node.op == "softmax":
            return True
    return False


def _meets_alone(architecture: Architecture, start: int) -> bool:
    """Tell whether what the layer before node `start` makes goes into products alone, so that its scale is free: what
    is added to what comes of them too, is not."""
    graph = architecture.graph
    while graph[start].layer < 0 and graph[start].op in ("add", "mul", "cat") and graph[start].inputs:
        start = graph[start].inputs[0]
    readers = architecture.readers
    for index in walked(readers[start], lambda i: readers[i] if graph[i].op != "matmul" else ()):
        node = graph[index]
        is_linear = node.layer >= 0 and architecture.layers[node.layer].kind in LINEAR
        if node.op != "matmul" and (is_linear or not readers[index]):
            return False
    return True


def _makers(architecture: Architecture, start: int, keys: Collection[Key]) -> Makers:
    """Return the units that make what goes into a product: one, or several parts of one layer that are put together,
    such as its heads."""
    node = architecture.graph[start]
    found = {_maker(architecture, i, keys) for i in node.inputs} if node.op == "cat" else set()
    parts = sorted(made for made in found if made is not None)
    if len(parts) > 1 and len(parts) == len(found) and len({place for place, _ in parts}) == 1:
        return tuple(parts)
    first = _maker(architecture, start, keys)
    return () if first is None else (first,)


def _maker(architecture: Architecture, start: int, keys: Collection[Key]) -> Key | None:
    for _ in range(REACH):
        node = architecture.graph[start]
        kind = architecture.layers[node.layer].kind if node.layer >= 0 else ""
        if kind in LINEAR or kind == "norm":
            return (node.layer, -1) if (node.layer, -1) in keys else None
        if not node.inputs:
            return None
        before = architecture.graph[node.inputs[0]]
        if node.op == "part" and (before.layer, node.index) in keys:
            return before.layer, node.index
        if node.op not in PASSING and not kind:
            return None
        start = node.inputs[0]
    return None
