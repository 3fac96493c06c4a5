"""Which channels a rotary embedding turns, and which it turns together: neighbours, or those of two halves (RoFormer,
arXiv 2104.09864)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from tli_cli.architecture import Architecture, AxisTree, Node
from tli_cli.describe.spaces import factors_of, leaves, terms_of
from tli_cli.describe.walks import layer_behind, walked

REACH = 8
TURNING = ("part", "add", "cat")
"""What a graph shows of a turn: products with constants are left out of it."""
PAIRS, HALVES = "pairs", "halves"


@dataclass(frozen=True, slots=True)
class Way:
    """How the channels of a head are turned: those from `start` on, `turned` of all `width`, in `PAIRS` or `HALVES`."""

    kind: str
    turned: int
    width: int
    start: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all channels of a head are turned."""
        return self.turned == self.width

    @property
    def rule(self) -> str:
        """The rule by which the channels of a head are taken from one that is turned in the other way."""
        return f"turned {self.kind}" if self.is_whole else f"turned {self.kind} {self.turned} {self.start}"


@lru_cache(maxsize=8)
def turned_layers(graph: tuple[Node, ...]) -> frozenset[tuple[int, bool]]:
    """Return the layers, by place, of which two halves are added or laid end to end again, with whether they are cut
    themselves, and not a part or a norm of what they make.

    The parts of a fused projection go different ways.
    """
    found: set[tuple[int, bool]] = set()
    for node in graph:
        if node.op not in ("add", "cat"):
            continue
        parts = [graph[i] for i in node.inputs if graph[i].op == "part"]
        cut = {part.inputs[0] for part in parts}
        if len(parts) == len(node.inputs) == 2 and len(cut) == 1 and parts[0].index != parts[1].index:
            start = cut.pop()
            found.add((layer_behind(graph, start, REACH), graph[start].layer >= 0))
    for start in turned_values(graph).values():
        found.add((layer_behind(graph, start, REACH), graph[start].layer >= 0))
    return frozenset(entry for entry in found if entry[0] >= 0)


@lru_cache(maxsize=8)
def turned_values(graph: tuple[Node, ...]) -> Mapping[int, int]:
    """Return for each node that is another one turned which one that is: parts of that alone are laid end to end and
    added, and nothing else comes in."""
    before: list[int] = []
    depth: list[int] = []
    found: dict[int, int] = {}
    for index, node in enumerate(graph):
        start = node.inputs[0] if node.inputs else -1
        for other in node.inputs[1:]:
            start = _common(start, other, before, depth)
        before.append(start)
        depth.append(depth[start] + 1 if start >= 0 else 0)
        if start >= 0 and node.op in ("add", "cat") and _is_turn(graph, index, start):
            found[index] = start
    return found


def _common(first: int, second: int, before: list[int], depth: list[int]) -> int:
    """Return the last node that both nodes are reached through, -1 if there is none."""
    while first != second and first >= 0 and second >= 0:
        if depth[first] >= depth[second]:
            first = before[first]
        else:
            second = before[second]
    return first if first == second else -1


def _is_turn(graph: tuple[Node, ...], index: int, start: int) -> bool:
    between = list(walked([index], lambda i: graph[i].inputs if i != start and graph[i].op in TURNING else ()))
    ops = {graph[i].op for i in between if i != start}
    return ops <= {*TURNING} and len({start, *between}) <= 2 * REACH and "add" in ops and len(ops) > 1


def turned_channels(architecture: Architecture) -> set[AxisTree]:
    """Return the channels of which a sum holds two parts that are turned, or a product two of each, by the axes of the
    layers that make them."""
    found: set[AxisTree] = set()
    for place, _ in turned_layers(architecture.graph):
        for _, name in architecture.layers[place].tensors:
            for axis in architecture.axes.get(name, ()):
                found |= set() if axis.contracted else set(_twice(architecture, axis.tree))
    return found


def way_of(architecture: Architecture, tree: AxisTree, turned: set[AxisTree]) -> Way | None:
    """Return how the heads of an axis are turned, where `turned` are the channels of the architecture that are; None
    where its graph does not show it."""
    factors = head_factors(architecture, tree, turned)
    if len(factors) > 1:
        width = architecture.size_of(("*", *factors))
        return Way(HALVES if factors[-1] in turned else PAIRS, width, width)
    parts = factors[0][1:] if isinstance(factors[0], tuple) and factors[0][0] == "+" else ()
    start = 0
    for part, following in pairwise((*parts, -1)):
        size = architecture.size_of(part)
        if part == following and part in turned:
            return Way(HALVES, 2 * size, architecture.size_of(factors[0]), start)
        if isinstance(part, tuple) and part[0] == "*" and part[-2] in turned and architecture.size_of(part[-1]) == 2:
            return Way(PAIRS, size, architecture.size_of(factors[0]), start)
        start += size
    return None


def known_turns(architecture: Architecture) -> dict[int, int]:
    """Return the values that are others turned, as `turned_values` does, of those of which it is known in which way."""
    graph, turned = architecture.graph, turned_channels(architecture)
    known: dict[int, bool] = {}

    def is_known(place: int) -> bool:
        if place not in known:
            names = (name for _, name in architecture.layers[place].tensors)
            trees = (tree for name in names for tree in architecture.made(name))
            known[place] = any(_has_way(architecture, tree, turned) for tree in trees)
        return known[place]

    behind = {start: layer_behind(graph, start, REACH) for start in turned_values(graph).values()}
    known_starts = {start for start, place in behind.items() if place >= 0 and is_known(place)}
    return {node: start for node, start in turned_values(graph).items() if start in known_starts}


def _has_way(architecture: Architecture, tree: AxisTree, turned: set[AxisTree]) -> bool:
    """Tell whether it is known how the heads of an axis, or of one of its parts, are turned."""
    return way_of(architecture, tree, turned) is not None or any(
        _has_way(architecture, part, turned) for part in terms_of(tree) if part != tree
    )


def head_factors(architecture: Architecture, tree: AxisTree, turned: set[AxisTree]) -> tuple[AxisTree, ...]:
    """Return the innermost factors of an axis that are the width of a head: the last one, and the one before it where
    the two are the pairs or the halves that are turned."""
    found = factors_of(tree)
    if len(found) > 1:
        for channels, two in (found[-2:], found[:-3:-1]):
            if channels in turned and architecture.size_of(two) == 2:
                return found[-2:]
    return found[-1:]


def repeated(tree: AxisTree) -> Iterator[AxisTree]:
    """Yield the channels of which the sum `tree` holds two parts side by side, and no more."""
    if isinstance(tree, tuple) and tree[0] == "+":
        yield from (first for first, second in pairwise(tree[1:]) if first == second and tree.count(first) == 2)


def _twice(architecture: Architecture, tree: AxisTree) -> Iterator[AxisTree]:
    """Yield the channels of which a sum within `tree` holds two parts side by side, or a product two of each."""
    if isinstance(tree, tuple):
        if tree[0] == "+":
            yield from (first for first, second in pairwise(tree[1:]) if first == second)
        elif architecture.size_of(tree[-1]) == 2:
            yield tree[-2]
        elif _is_two(architecture, tree[-2]):
            yield tree[-1]
        for child in tree[1:]:
            yield from _twice(architecture, child)


def _is_two(architecture: Architecture, tree: AxisTree) -> bool:
    """Tell whether a factor is two single indices, of which each is picked by itself."""
    single = isinstance(tree, tuple) and tree[0] == "+" and len(leaves(tree)) == 2
    return single and architecture.size_of(tree) == 2
