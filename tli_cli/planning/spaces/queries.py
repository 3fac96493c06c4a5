"""Which layer last shapes the queries of an attention: it makes up for another width of the heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tli_cli.architecture import DOT, LINEAR, Architecture, AxisTree, Node
from tli_cli.describe.turned import head_factors, turned_channels
from tli_cli.describe.walks import walked
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.units import Key, Unit
from tli_cli.noted import OWN, REDUCED
from tli_cli.planning.roles import made_by

PASSING = ("part", "add", "cat", "mul")
"""What may stand between a projection and the product: the turns of a rotary embedding."""
BEFORE_SOFTMAX = ("mul", "part", "layer", "gather", "where", *ACTIVATIONS)
"""What may stand between that product and the softmax, beside sums."""
ALONG = ("scale", "bias", "position", "norm")
"""Kinds of layers that act on each channel alone."""
ADDED = ("bias", "position")
BETWEEN_CHANNELS = (OWN, REDUCED)
"""What is noted of code that holds a channel against others, such as the largest."""
REACH = 24
Makers = tuple[Key, ...]
"""The units that together make one side of a product."""


@dataclass(frozen=True, slots=True)
class Query:
    """What stands behind a unit that makes queries: the layers run from there until a softmax weighs the products, and
    how many softmaxes they are run before, each time."""

    places: frozenset[int] = frozenset()
    softmaxes: int = 1


def query_makers(architecture: Architecture, units: Collection[Unit]) -> dict[Key, Query]:
    """Return the keys of the units that make queries, by the graph, or by their roles where there is none; what is
    added to queries is one of them.

    A norm of the queries stands for the projection before it, whose scale it takes away. Where an activation stands in
    between, as in linear attention, nothing scales the product by the heads' width.
    """
    if not architecture.graph:
        return {unit.key: Query() for unit in units if unit.role == "q"}
    keys = {unit.key for unit in units}
    found = list(_found(architecture, keys))
    runs = Counter(node.layer for node in architecture.graph)
    weighing = Counter(place for place, _ in {(key[0], softmax) for softmax, key, _ in found})
    made = {key: Query(places, max(weighing[key[0]] // runs[key[0]], 1)) for _, key, places in found}
    return made | {key: Query() for key in _of_dots(architecture, keys)}


def _found(architecture: Architecture, keys: Collection[Key]) -> Iterator[tuple[int, Key, frozenset[int]]]:
    """Yield each softmax with the keys of the queries that meet their keys before it, and the layers run since."""
    graph = architecture.graph
    for index in _softmaxes(architecture):
        start = graph[index].inputs[0]
        if _scales_more(architecture, start):
            continue
        products = _products(architecture, start)
        for makers in _one_of_each(
            [_makers(architecture, i, keys) for i in inputs if _meets_alone(architecture, i, products, keys)]
            for inputs in (graph[product].inputs for product in products)
        ):
            first = max(i for i in range(index) if graph[i].layer == makers[0][0])
            between = frozenset(n.layer for n in graph[first:index] if n.layer >= 0)
            yield from ((index, made, between) for made in makers)


def _softmaxes(architecture: Architecture) -> list[int]:
    return [i for i, node in enumerate(architecture.graph) if node.op == "softmax" and node.inputs]


def _of_dots(architecture: Architecture, keys: Collection[Key]) -> list[Key]:
    """Return one of the two units whose outputs meet channel by channel in each sum of products, and nowhere else, such
    as the factors of users and of items; none where that is not so of all such sums but those before a softmax."""
    weighed = {i for i in _softmaxes(architecture) for i in _products(architecture, architecture.graph[i].inputs[0])}
    dots = [i for i, node in enumerate(architecture.graph) if node.index == DOT and node.op in ("mul", "matmul")]
    dots = [i for i in dots if i not in weighed and not _weighs(architecture, architecture.graph[i])]
    found = [_free_side(architecture, i, keys) for i in dots]
    return [made for made in found if made is not None] if None not in found else []


def _free_side(architecture: Architecture, product: int, keys: Collection[Key]) -> Key | None:
    """Return a unit that makes one side of a product and is used for nothing else."""
    graph, layers = architecture.graph, architecture.layers
    for start in graph[product].inputs:
        place = graph[start].layer
        alone = place >= 0 and set(architecture.readers[start]) == {product}
        once = sum(node.layer == place for node in graph) == 1
        since = (n for node in graph[start:product] if node.layer >= 0 for n in layers[node.layer].numbers)
        alone = alone and not any(number[0] in BETWEEN_CHANNELS for number in since)
        if alone and once and layers[place].kind in (*LINEAR, "embedding") and (place, -1) in keys:
            return place, -1
    return None


def _one_of_each(products: Iterable[Sequence[Makers]]) -> list[Makers]:
    """Return the makers of one side of each product, so that none has both: queries, and what is beside them."""
    chosen: list[Makers] = []
    others: set[Makers] = set()
    for pair in products:
        known = [made for made in dict.fromkeys(pair) if made and pair.count(made) == 1]
        if not any(made in chosen for made in known):
            chosen += [made for made in known if made not in others][:1]
        others.update(made for made in known if made not in chosen)
    return chosen


def innermost(architecture: Architecture, unit: Unit) -> AxisTree | None:
    """Return the innermost factor of what `unit` makes: the width of a head; None if that is not known."""
    made = made_by(architecture, unit)
    if made is None:
        return None
    width = head_factors(architecture, made, turned_channels(architecture))
    return width[0] if len(width) == 1 else ("*", *width)


def _scales_more(architecture: Architecture, start: int) -> bool:
    """Tell whether what is added to products before a softmax is scaled with them: no queries make up for that."""
    layers = (architecture.graph[i].layer for i in _before_softmax(architecture, start))
    return any(place >= 0 and architecture.layers[place].attribute("scaled_in_sum") for place in layers)


def _products(architecture: Architecture, start: int) -> list[int]:
    """Return the products of queries and keys before a softmax, in order."""
    graph = architecture.graph
    met = (i for i in _before_softmax(architecture, start) if graph[i].op == "matmul" and len(graph[i].inputs) == 2)
    return sorted(i for i in met if not _weighs(architecture, graph[i]))


def _before_softmax(architecture: Architecture, start: int) -> Iterator[int]:
    """Yield the nodes before a softmax, through what adds, picks and caps products; a norm takes their scale away."""
    graph = architecture.graph

    def through(index: int) -> Sequence[int]:
        node = graph[index]
        passed = node.op in BEFORE_SOFTMAX and architecture.kinds[index] != "norm"
        return node.inputs if node.op == "add" else node.inputs[:1] if passed else ()

    return walked([start], through)


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


def _meets_alone(architecture: Architecture, start: int, products: Collection[int], keys: Collection[Key]) -> bool:
    """Tell whether what makes node `start` goes into `products` alone, so that its scale is free: what is added to what
    comes of them too, or is weighed there, is not."""
    graph, readers, kinds = architecture.graph, architecture.readers, architecture.kinds
    made = walked([start], lambda i: _of_one_scale(architecture, i, keys))
    read = (reader for index in made for reader in readers[index])
    behind = walked(read, lambda i: readers[i] if graph[i].op != "matmul" else ())
    return all(i in products or (graph[i].op != "matmul" and kinds[i] in ("", *ALONG) and readers[i]) for i in behind)


def _of_one_scale(architecture: Architecture, index: int, keys: Collection[Key]) -> Sequence[int]:
    """Return the nodes whose values are scaled with those of a node: all that it adds up or joins, what it is a part
    of, and that part of a unit's own taken once more."""
    graph, node = architecture.graph, architecture.graph[index]
    if node.op in ("add", "mul", "cat") or architecture.kinds[index] in ADDED:
        return node.inputs
    if node.op != "part":
        return ()
    whole = node.inputs[0]
    if (graph[whole].layer, node.index) not in keys:
        return node.inputs
    return [i for i in architecture.readers[whole] if (graph[i].op, graph[i].index) == ("part", node.index)]


def _makers(architecture: Architecture, start: int, keys: Collection[Key], reach: int = REACH) -> Makers:
    """Return the units that together make what goes into a product, such as a projection and what is added to it; none
    where that is not known of all of it."""
    graph, node, kind = architecture.graph, architecture.graph[start], architecture.kinds[start]
    own = (node.layer, -1)
    if kind in LINEAR or kind == "norm":
        return (own,) if own in keys else ()
    if not node.inputs or not reach:
        return ()
    part = (graph[node.inputs[0]].layer, node.index)
    if node.op == "part" and part in keys:
        return (part,)
    if node.op not in PASSING and not kind:
        return ()
    inputs = node.inputs if node.op in ("add", "cat") else node.inputs[:1]
    found = [_makers(architecture, i, keys, reach - 1) for i in inputs]
    found += [(own,) if own in keys else ()] if kind in ADDED else []
    return tuple(dict.fromkeys(made for makers in found for made in makers)) if all(found) else ()
