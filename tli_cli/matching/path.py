"""The paper's matcher: paths between joins are compared, each target takes the best source (arXiv 2101.02757).

The graph is cut where branches join: at `add`, `mul` and `cat`. Between two cuts lies a path, a list of operations.
Each target unit takes the source unit that is most like it, by what it is (`unit_similarity`) and by where it stands;
every target is compared with every source once, O(nm), and a source may serve many targets.

The paper leaves open, and here it is decided:

- depth: the most cuts between the input and the unit, over the most in the network; position from the head: the most
  layers behind it, over the most behind any layer. Both are compared as 1 - |difference|.
- branch: how many layers its path has and which of them it is; lengths as a ratio, places as 1 - |difference|.
- activations: those of the path, as a multiset; compared by what is shared (Dice).
- the four count alike, together as much as kind and shape: `unit_similarity * (1 + mean of the four) / 2` is the
  pair's similarity, 1 only for an identical unit that stands alike; nothing under `ENOUGH` is taken.
- equals: the one that is called alike, then whose place in the order of layers is nearest, then the first.
- a source that serves several targets belongs to the one most like it; for the others the pair is a `repeat`.
- a path also ends where its value is read more than once; one that goes on follows the first input.
- what a layer is for (a query, a gate, a head) counts as well: what its name says, but of two layers that stand alike
  what both graphs say.
- without a graph the order of layers is one path: depth and position follow from it, activations are unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from tli_cli.architecture import Architecture, Node
from tli_cli.matching.bags import Bag, bag_of, overlap
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.sides import Side
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair

CUTS = frozenset({"add", "mul", "cat"})
ENOUGH = 0.2


@dataclass(frozen=True)
class Standing:
    """Where a unit stands: `depth`, `behind` and `share` in [0, 1], the layers on its path, and its operations."""

    depth: float
    behind: float
    share: float
    length: int
    operations: Bag


def match_path(source: Architecture, target: Architecture) -> Matching:
    """Return the matching of `target`'s units to those of `source`; deterministic, reads no values."""
    return match_placed(Placed.of(Side(source)), Placed.of(Side(target)))


@dataclass(frozen=True)
class Placed:
    """One side's units, the same with the roles that the graph tells, if there is one, and where each stands."""

    units: tuple[Unit, ...]
    told: tuple[Unit, ...]
    standings: list[Standing]

    @classmethod
    def of(cls, side: Side) -> Placed:
        """Return the units of `side` with their standings."""
        told: tuple[Unit, ...] = ()
        if side.architecture.graph:
            roles = graph_roles(side.architecture, side.units)
            told = tuple(replace(unit, role=roles.get(unit.key, "")) for unit in side.units)
        return cls(side.units, told, standings(side.architecture, side.units))


def match_placed(source: Placed, target: Placed) -> Matching:
    """Return the matching of two sides, which may be used again for other pairs."""
    sources, targets = source.units, target.units
    theirs, mine = source.standings, target.standings
    known = bool(source.told and target.told)
    pairs = []
    for i, t in enumerate(targets):
        place = i / max(len(targets) - 1, 1)
        best, rank = -1, (ENOUGH, False, -1.0)
        for j, s in enumerate(sources):
            alike = known and mine[i] == theirs[j]
            similarity = unit_similarity(target.told[i], source.told[j]) if alike else unit_similarity(t, s)
            if similarity < rank[0]:
                continue
            likeness = similarity * (1 + standing_likeness(mine[i], theirs[j])) / 2
            distance = abs(place - j / max(len(sources) - 1, 1))
            best, rank = max((best, rank), (j, (likeness, t.role == s.role, -distance)), key=itemgetter(1))
        if best >= 0:
            pairs.append(Pair(t, sources[best], rank[0]))
    return Matching(_with_repeats(pairs), targets, sources, windows=False)


def _with_repeats(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    owner: dict[Key, Pair] = {}
    for pair in pairs:
        held = owner.setdefault(pair.source.key, pair)
        if pair.similarity > held.similarity:
            owner[pair.source.key] = pair
    return tuple(replace(pair, repeat=owner[pair.source.key] is not pair) for pair in pairs)


def standing_likeness(first: Standing, second: Standing) -> float:
    """Return how alike two units stand, in [0, 1]."""
    branch = min(first.length, second.length) / max(first.length, second.length) * (1 - abs(first.share - second.share))
    depth, behind = 1 - abs(first.depth - second.depth), 1 - abs(first.behind - second.behind)
    return (depth + behind + branch + overlap(first.operations, second.operations)) / 4


def standings(architecture: Architecture, units: Sequence[Unit]) -> list[Standing]:
    """Return where each unit stands, by the execution graph, else by the order of the layers."""
    known = _standings_in(architecture.graph)
    last = max(len(units) - 1, 1)
    return [
        known.get(unit.place) or Standing(i / last, (last - i) / last, i / last, len(units), bag_of(()))
        for i, unit in enumerate(units)
    ]


def _standings_in(graph: Sequence[Node]) -> dict[int, Standing]:
    """Return by layer where it stands in `graph`."""
    cuts, behind = _cuts_before(graph), _layers_behind(graph)
    most_cuts = max(cuts, default=0) or 1
    most_behind = max((behind[i] for i, node in enumerate(graph) if node.op == "layer"), default=0) or 1
    found: dict[int, Standing] = {}
    for path in _paths(graph):
        layers = [i for i in path if graph[i].op == "layer"]
        operations = bag_of(graph[i].op for i in path if graph[i].op in ACTIVATIONS)
        for place, i in enumerate(layers):
            share = place / max(len(layers) - 1, 1)
            standing = Standing(cuts[i] / most_cuts, behind[i] / most_behind, share, len(layers), operations)
            found.setdefault(graph[i].layer, standing)
    return found


def _paths(graph: Sequence[Node]) -> list[list[int]]:
    """Return the nodes between cuts and forks, path by path."""
    readers = Counter(i for node in graph for i in node.inputs)
    paths: list[list[int]] = []
    number: list[int] = []
    for i, node in enumerate(graph):
        before = node.inputs[0] if node.inputs else -1
        if before < 0 or node.op in CUTS or graph[before].op in CUTS or readers[before] > 1:
            number.append(len(paths))
            paths.append([])
        else:
            number.append(number[before])
        if node.op not in CUTS:
            paths[number[i]].append(i)
    return paths


def _cuts_before(graph: Sequence[Node]) -> list[int]:
    cuts: list[int] = []
    for node in graph:
        cuts.append(max((cuts[i] for i in node.inputs), default=0) + (node.op in CUTS))
    return cuts


def _layers_behind(graph: Sequence[Node]) -> list[int]:
    behind = [0] * len(graph)
    for i in reversed(range(len(graph))):
        for before in graph[i].inputs:
            behind[before] = max(behind[before], behind[i] + (graph[i].op == "layer"))
    return behind
