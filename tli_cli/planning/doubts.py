"""Why a layer may not compute what its partner does, whatever its tensors hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from types import MappingProxyType

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.values import Pair
from tli_cli.planning.activations import activations_before, changed_activations, differ, readers_behind
from tli_cli.planning.maps import MapBook
from tli_cli.planning.numbers import (
    difference_of,
    epsilons_differ,
    norms_differ,
    numbers_behind,
    places_differ,
    steps_differ,
    were_run,
)
from tli_cli.planning.unshared import unshared

OTHER_INPUT = "it takes something else than in the source"


class Doubts:
    """What is known of the surroundings of a target's layers and of their partners' in one source.

    The layers `silent` give zero, other scales behind the layers `scaled` are made up for, those `unlike` take
    something else, those `strange` stand behind others than their partners, and those `passing` pass on what they take.
    `partners` gives the source's layer for each of the target's, `copies` for each that is added.
    Layers `folded` of the source are taken into others.
    """

    def __init__(
        self,
        target: Architecture,
        source: Architecture,
        book: MapBook,
        silent: Collection[int],
        *,
        scaled: Collection[int] = (),
        unlike: Collection[int] = (),
        strange: Mapping[int, str] = MappingProxyType({}),
        passing: Collection[int] = (),
        partners: Mapping[int, int] = MappingProxyType({}),
        copies: Mapping[int, int] = MappingProxyType({}),
        folded: Collection[int] = (),
    ) -> None:
        self._target, self._source, self._book, self._scaled, self._unlike = target, source, book, scaled, unlike
        self._strange = strange
        self._numbers_behind, self._their_numbers = numbers_behind(target, passing), numbers_behind(source, folded)
        self._runs, self._their_runs = _runs(target), _runs(source)
        known = were_run(target, source)
        behind = self._numbers_behind, self._their_numbers
        self._unshared = unshared(*behind, partners, copies, scaled) if known else {}
        self._alike = not changed_activations(source, target)
        self._is_deeper = bool(silent)
        self._idle: dict[int, bool] = {}
        self._mine, self._theirs = activations_before(target, silent), activations_before(source)

    def of(self, pair: Pair, added: bool, bypassed: Collection[int], chains: Collection[int]) -> str:
        """Return a reason, empty if there is none; `bypassed` are the layers of added blocks that add nothing, `chains`
        those of added blocks that pass on what they get."""
        place = pair.target.place
        if added:
            idle = place in bypassed or place in chains or self._is_idle(place, bypassed)
            return "" if idle else "it is added and is no identity"
        return self._activations(pair) or self._numbers(pair) or self._surroundings(pair)

    def _surroundings(self, pair: Pair) -> str:
        if pair.target.place in self._strange:
            return self._strange[pair.target.place]
        if pair.target.place in self._unlike:
            return "added layers change what goes into it" if self._is_deeper else OTHER_INPUT
        mine, theirs = self._runs[pair.target.place], self._their_runs[pair.source.place]
        whole = pair.target.part < 0 and pair.source.part < 0
        tables = [unit.kind == "embedding" for unit in (pair.target, pair.source)]
        differ = mine > theirs if all(tables) else mine != theirs and not any(tables)
        return f"it is run {mine} times, in the source {theirs}" if whole and differ and mine and theirs else ""

    def _numbers(self, pair: Pair) -> str:
        mine, theirs = self._target.layers[pair.target.place], self._source.layers[pair.source.place]
        known = were_run(self._target, self._source)
        behind = self._numbers_behind[pair.target.place], self._their_numbers[pair.source.place]
        scaled = pair.target.place in self._scaled
        return (
            steps_differ(mine, theirs, known)
            or epsilons_differ(mine, theirs)
            or self._norms(pair, mine, theirs)
            or (places_differ(mine, theirs) if known else "")
            or (difference_of(*behind, scaled=scaled, alike=self._alike) if known else "")
            or self._unshared.get(pair.target.place, "")
        )

    def _norms(self, pair: Pair, mine: Layer, theirs: Layer) -> str:
        """Return how a norm differs; of one that is wider, the maps say whether its groups are those of the source."""
        traced = self._target.graph and self._source.graph
        said = norms_differ(mine, theirs) if traced else ""
        wider = mine.averages != theirs.averages and pair.target.shape != pair.source.shape
        return "" if wider and 1 not in (mine.averages, theirs.averages) else said

    def _activations(self, pair: Pair) -> str:
        mine, theirs = self._mine.get(pair.target.place), self._theirs.get(pair.source.place)
        if mine is None or theirs is None or not differ(mine, theirs):
            return ""
        if mine[1] != theirs[1]:
            return "a sum stands before it in one of the networks alone"
        here, there = (", ".join(ops) or "no activation" for ops in (mine[0], theirs[0]))
        return f"behind {here}, in the source behind {there}"

    def _is_idle(self, place: int, bypassed: Collection[int]) -> bool:
        """Tell whether what a layer makes, or all that is made of it, is read with zero weight or adds nothing."""
        if place not in self._idle:
            self._idle[place] = False  # until more is known: a layer may be run several times
            weight = self._target.layers[place].tensor("weight")
            made = [axis.tree for axis in self._target.axes.get(weight or "", ()) if not axis.contracted]
            places = {reader for _, reader in readers_behind(self._target, place)}
            self._idle[place] = any(map(self._book.is_passed_by, made)) or (
                bool(places) and all(p in bypassed or (p >= 0 and self._is_idle(p, bypassed)) for p in places)
            )
        return self._idle[place]


def _runs(architecture: Architecture) -> Counter[int]:
    """Return how often each layer is run; a norm that code writes out as a scale and a shift is run once."""
    graph, layers = architecture.graph, architecture.layers
    return Counter(
        node.layer
        for node in graph
        if node.layer >= 0
        and (layers[node.layer].kind != "norm" or all(graph[i].layer != node.layer for i in node.inputs))
    )
