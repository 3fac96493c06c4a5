"""Why a layer may not compute what its partner does, whatever its tensors hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.spaces import leaves
from tli_cli.grouping import gathered
from tli_cli.matching.values import Pair
from tli_cli.noted import Number
from tli_cli.planning.claims.activations import (
    activations_before,
    changed_activations,
    differ,
    directly_behind,
    readers_behind,
)
from tli_cli.planning.claims.feeders import strange_feeders
from tli_cli.planning.claims.lost_tables import beside_lost_tables
from tli_cli.planning.claims.unlike_inputs import unlike_inputs
from tli_cli.planning.claims.unshared import Behind, other_constants
from tli_cli.planning.numbers import (
    counted,
    difference_of,
    epsilons_differ,
    have_alike_inputs,
    norms_differ,
    numbers_behind,
    outputs_differ,
    places_differ,
    steps_differ,
    weighed_places_differ,
    were_run,
)
from tli_cli.planning.prepared import Prepared
from tli_cli.planning.scale_numbers import width_power
from tli_cli.planning.spaces.maps import MapBook

OTHER_INPUT = "it takes something else than in the source"
WIDTH = "behind it a scale that goes with its width, which is another in the source"
NOT_RUN = "the source does not run it"
BY_ORDER = "nothing but the order in which they are run tells it from others beside it, behind which numbers stand"
LEAST = 1e-8
"""The epsilon of a norm below which nothing shows that it is taken twice."""
TWICE = "what it normalises is normalised once more, which changes it by about as much as the norm's epsilon"
CHANGED_INPUT = "added layers change what goes into it"


class Doubts:
    """What is known of the surroundings of a target's layers and of their partners' in one source."""

    def __init__(self, known: Prepared, book: MapBook) -> None:
        target, source, matching, added = known.target, known.source, known.matching, known.added
        self._target, self._source, self._book, self._added = target, source, book, added
        self._reused, self._scaled = matching.reused, known.scaled
        self._fed, self._readers = {pair.target.place for pair in matching.pairs}, _readers(target)
        self._idle: dict[int, bool] = {}
        self._runs, self._their_runs = runs_of(target), runs_of(source)
        idle = (known.silent | known.passing).difference(added.norms)
        self._mine, self._theirs = activations_before(target, idle, added.norms), activations_before(source)
        self._plain = directly_behind(target), directly_behind(source)
        self._alike = not changed_activations(source, target)
        self._behind = (
            numbers_behind(target, {*known.passing, *known.lone.ends}, known.lone.inner),
            numbers_behind(source, known.folding.taken),
        )
        self._known = were_run(target, source)
        self._lost = {} if self._known else beside_lost_tables(matching)
        partners = {pair.target.place: pair.source.place for pair in known.first}
        behind = Behind(*self._behind, partners, known.copies)
        self._unshared = behind.unshared(known.scaled) if self._known else {}
        self._same_places = have_alike_inputs(target, source)
        self._constants = other_constants(target, source, known.lone.zeros)
        self._unlike: Collection[int] = ()
        self._strange: Mapping[int, str] = {}
        self._other_input = CHANGED_INPUT if known.silent else OTHER_INPUT
        if target.graph and source.graph:
            unread = {place for place in self._fed.difference(known.passing) if self._is_unread(place)}
            self._unlike, self._strange = unlike_inputs(known, unread), strange_feeders(known, unread)

    def of(self, pair: Pair) -> str:
        """Return a reason, empty if there is none."""
        if pair.target.place in self._added.norms and (self._target.layers[pair.target.place].epsilon or 0) > LEAST:
            return TWICE
        if pair.target.key in self._reused:
            place = pair.target.place
            idle = place in self._added.bypassed or place in self._added.chains or self._is_idle(place)
            idle = idle and place not in self._unlike
            return "" if idle else "it is added and is no identity"
        return self._activations(pair) or self._numbers(pair) or self._surroundings(pair)

    def _surroundings(self, pair: Pair) -> str:
        if pair.target.place in self._strange:
            return self._strange[pair.target.place]
        if pair.target.place in self._unlike:
            return self._other_input
        if pair.target.place in self._lost:
            return self._lost[pair.target.place]
        mine, theirs = self._runs[pair.target.place], self._their_runs[pair.source.place]
        if mine and self._their_runs and not theirs:
            return NOT_RUN
        whole = pair.target.part < 0 and pair.source.part < 0
        tables = [unit.kind == "embedding" for unit in (pair.target, pair.source)]
        differ = mine > theirs if all(tables) else mine != theirs and not any(tables)
        return f"it is run {mine} times, in the source {theirs}" if whole and differ and mine and theirs else ""

    def _numbers(self, pair: Pair) -> str:
        mine, theirs = self._target.layers[pair.target.place], self._source.layers[pair.source.place]
        known = self._known
        behind = self._behind[0][pair.target.place], self._behind[1][pair.source.place]
        scaled = pair.target.place in self._scaled
        return (
            steps_differ(mine, theirs, known, alike=self._same_places)
            or epsilons_differ(mine, theirs)
            or self._norms(pair, mine, theirs)
            or (places_differ(mine, theirs) if known else "")
            or (outputs_differ(mine, theirs, alike=self._same_places) if known else "")
            or (weighed_places_differ(mine, theirs, alike=self._same_places) if known else "")
            or (difference_of(*behind, scaled=scaled, alike=self._alike) if known else "")
            or (BY_ORDER if pair.by_order and any(map(counted, behind)) else "")
            or ("" if known or scaled else self._width_scale(pair, behind))
            or self._unshared.get(pair.target.place, "")
            or self._constants.get(pair.target.place, "")
        )

    def _width_scale(self, pair: Pair, behind: tuple[Sequence[Number], Sequence[Number]]) -> str:
        """Return that code, which is known of one side alone, scales by a width that is another one in the source."""
        sides = (self._target, pair.target.shape, behind[0]), (self._source, pair.source.shape, behind[1])
        if not (self._target.graph and self._source.graph):
            return ""
        for (run, mine, numbers), (_, theirs, _) in (sides, sides[::-1]):
            goes_with = any(m != n and width_power(numbers, m) for m, n in zip(mine, theirs, strict=False))
            if run.was_run and goes_with:
                return WIDTH
        return ""

    def _norms(self, pair: Pair, mine: Layer, theirs: Layer) -> str:
        """Return how a norm differs; of one that is wider, the maps say whether its groups are those of the source."""
        traced = self._target.graph and self._source.graph
        said = norms_differ(mine, theirs) if traced else ""
        wider = mine.averages != theirs.averages and pair.target.shape != pair.source.shape
        return "" if wider and 1 not in (mine.averages, theirs.averages) else said

    def _activations(self, pair: Pair) -> str:
        places = pair.target.place, pair.source.place
        mine, theirs = self._mine.get(places[0]), self._theirs.get(places[1])
        for known, place, plain in ((mine, places[1], self._plain[1]), (theirs, places[0], self._plain[0])):
            if known is not None and known[0] and place in plain:
                return f"behind {', '.join(known[0])} in one of the networks alone"
        if mine is None or theirs is None or not differ(mine, theirs):
            return ""
        if mine[1] != theirs[1]:
            return "a sum stands before it in one of the networks alone"
        here, there = (", ".join(ops) or "no activation" for ops in (mine[0], theirs[0]))
        return f"behind {here}, in the source behind {there}"

    def _is_idle(self, place: int) -> bool:
        """Tell whether what a layer makes, or all that is made of it, is read with zero weight or adds nothing."""
        if place not in self._idle:
            self._idle[place] = False  # until more is known: a layer may be run several times
            places = readers_behind(self._target, place)
            self._idle[place] = self._is_unread(place) or (
                bool(places) and all(p in self._added.bypassed or (p >= 0 and self._is_idle(p)) for p in places)
            )
        return self._idle[place]

    def _is_unread(self, place: int) -> bool:
        """Tell whether all that a layer makes is read with zero weight, by layers that the source feeds."""
        passed = filter(self._book.is_passed_by, self._target.made(self._target.layers[place].tensor("weight")))
        return any(all(self._fed.issuperset(self._readers.get(leaf, ())) for leaf in leaves(tree)) for tree in passed)


def _readers(architecture: Architecture) -> Mapping[int, Sequence[int]]:
    """Return for each space the layers, by place, whose weights sum over it."""
    axes = ((i, axis) for i, layer in enumerate(architecture.layers) for axis in architecture.weight_axes(layer))
    return gathered((leaf, place) for place, axis in axes if axis.contracted for leaf in leaves(axis.tree))


def runs_of(architecture: Architecture) -> Counter[int]:
    """Return in how many places each layer is run. All inputs of the network count as one, so that a branch which two
    of them share is in one place. A norm that code writes out as a scale and a shift is run once."""
    graph = architecture.graph
    numbers: dict[Hashable, int] = {}
    made: list[int] = []
    found: dict[int, set[int]] = defaultdict(set)
    for node, kind in zip(graph, architecture.kinds, strict=True):
        taken = (node.op, node.layer, node.index, *(made[i] for i in node.inputs))
        made.append(numbers.setdefault(taken, len(numbers)))
        goes_on = any(graph[i].layer == node.layer for i in node.inputs)
        if node.layer >= 0 and not (goes_on and kind == "norm"):
            found[node.layer].add(made[-1])
    return Counter({place: len(places) for place, places in found.items()})
