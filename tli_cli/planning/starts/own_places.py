"""Tables of positions that one network adds behind tokens put in front of its patches, rows for these included, and
the other before: what a row gives a token is then the token's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tli_cli.architecture import Architecture, Axis, AxisTree, Node
from tli_cli.matching.values import Matching
from tli_cli.planning.roles import Share

FOLDED = "its position is taken into it"


@dataclass(frozen=True)
class OwnPlaces:
    """Both networks as if each added its positions before tokens are put in front.

    `rows` of the source's tables are taken into tokens of the target, by their places, so that its tables `without`
    them lack nothing; the rows that only its tables `silent` have are to add nothing.
    """

    target: Architecture
    source: Architecture
    rows: Mapping[int, Share] = field(default_factory=dict)
    without: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()


def own_places(target: Architecture, source: Architecture, matching: Matching, *, folds: bool = True) -> OwnPlaces:
    """Return both sides with their positions before their tokens where one alone adds them behind, and what makes up
    for it; both as they are where that is not so, or without `folds`. Where one graph alone is known, the numbers of
    rows must tell it too."""
    found = OwnPlaces(target, source)
    if not folds:
        return found
    mine, theirs = _tables(target), _tables(source)
    partners = {pair.source.place: pair.target.place for pair in matching.pairs if not pair.repeat}
    fed = {*partners.values()}
    known = bool(target.graph and source.graph)
    for there, here in partners.items():
        if not known and _places(source, there) == _places(target, here):
            continue
        if there in theirs and here not in mine and (before := _before_tokens(source, there)):
            rows = {partners[t]: row for t, row in _rows(source, there, theirs[there]).items() if t in partners}
            found = replace(found, source=before, rows={**found.rows, **rows}, without=found.without | {here})
        elif here in mine and there not in theirs and fed.issuperset(mine[here]):
            before = _before_tokens(target, here)
            found = replace(found, target=before, silent=found.silent | {here}) if before else found
    return found


def _tables(architecture: Architecture) -> dict[int, tuple[int, ...]]:
    """Return the tables of positions with rows for tokens that stand before patches, each with the tokens' places."""
    found = {}
    for table, ahead in _ahead(architecture):
        tree = _tree(architecture, table)
        parts = tree[1:-1] if isinstance(tree, tuple) and tree[:1] == ("+",) else ()
        tokens = ahead if architecture.graph else ahead[: len(parts)]
        if parts and [_rows_of(architecture, t) for t in tokens] == [architecture.size_of(part) for part in parts]:
            found[table] = tokens
    return found


def _ahead(architecture: Architecture) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield tables of positions with what is put in front of patches before these are added; without a graph, with all
    tokens, as they are defined."""
    if not architecture.graph:
        kinds = [(place, layer) for place, layer in enumerate(architecture.layers)]
        tokens = tuple(place for place, layer in kinds if layer.kind == "token")
        yield from ((place, tokens) for place, layer in kinds if layer.is_added)
    for index in range(len(architecture.graph)):
        table, below = _added_to(architecture, index)
        if below >= 0:
            yield table, tuple(architecture.graph[i].layer for i in architecture.graph[below].inputs[:-1])


def _rows_of(architecture: Architecture, place: int) -> int:
    """Return how many rows a token has; -1 if a layer is none."""
    axes = architecture.weight_axes(architecture.layers[place]) if place >= 0 else ()
    if not axes or architecture.layers[place].kind != "token":
        return -1
    return architecture.size_of(axes[-2].tree) if len(axes) > 1 else 1


def _tree(architecture: Architecture, table: int) -> AxisTree:
    """Return the axis of a table that runs over places; none of one that has no channels."""
    axes = architecture.weight_axes(architecture.layers[table])
    return axes[-2].tree if len(axes) > 1 else ()


def _places(architecture: Architecture, table: int) -> int:
    """Return how many rows a table of positions has; 0 where its axes are not known."""
    tree = _tree(architecture, table)
    return architecture.size_of(tree) if tree != () else 0


def _rows(architecture: Architecture, table: int, tokens: tuple[int, ...]) -> dict[int, Share]:
    """Return the part of a table that each token is given, by the tokens' places."""
    name = architecture.layers[table].tensor("weight") or ""
    axes = architecture.axes[name]
    dim, start, found = len(axes) - 2, 0, {}
    for token, part in zip(tokens, axes[dim].tree[1:-1], strict=True):  # type: ignore[index]
        stop = start + architecture.size_of(part)
        cut = (*axes[:dim], Axis(part), *axes[dim + 1 :])
        found[token] = Share(architecture.by_name[name], "weight", cut, dim, start=start, stop=stop)
        start = stop
    return found


def _before_tokens(architecture: Architecture, table: int) -> Architecture | None:
    """Return the network with the positions of `table` added to what stands behind the tokens of its concatenation;
    None where something else reads that too."""
    graph, readers = architecture.graph, architecture.readers
    if not graph:
        return architecture
    at, below = next((i, b) for i in range(len(graph)) for t, b in (_added_to(architecture, i),) if t == table)
    if readers[below] != (at,) or sum(node.layer == table for node in graph) > 1:
        return None
    found: list[Node] = []
    became: list[int] = []
    for index, node in enumerate(graph):
        inputs = tuple(became[i] for i in node.inputs)
        if index == at:
            *ahead, rest = (became[i] for i in graph[below].inputs)
            found.append(Node("layer", (rest,), table))
            found.append(Node("cat", (*ahead, len(found) - 1)))
        elif index != below and (node.layer != table or node.inputs):
            found.append(replace(node, inputs=inputs))
        became.append(len(found) - 1)
    return replace(architecture, graph=tuple(found))


def _added_to(architecture: Architecture, index: int) -> tuple[int, int]:
    """Return the table of positions that a node adds to a concatenation, and that; -1 if it does no such thing."""
    graph, layers = architecture.graph, architecture.layers
    node = graph[index]
    terms = node.inputs if node.op == "add" else (index, *node.inputs)
    tables = [i for i in terms if graph[i].layer >= 0 and layers[graph[i].layer].is_added]
    below = [i for i in terms if graph[i].op == "cat"]
    found = len(terms) == 2 and len(tables) == len(below) == 1
    return (graph[tables[0]].layer, below[0]) if found else (-1, -1)
