"""Why a layer may not compute what its partner does, whatever its tensors hold."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.architecture import Architecture
from tli_cli.matching.values import Pair
from tli_cli.planning.activations import activations_before, differ, readers_behind
from tli_cli.planning.maps import MapBook


class Doubts:
    """What is known of the surroundings of a target's layers and of their partners' in one source; the layers `silent`
    give zero."""

    def __init__(self, target: Architecture, source: Architecture, book: MapBook, silent: Collection[int]) -> None:
        self._target, self._book = target, book
        self._idle: dict[int, bool] = {}
        self._mine, self._theirs = activations_before(target, silent), activations_before(source)

    def of(self, pair: Pair, added: bool, bypassed: Collection[int], chains: Collection[int]) -> str:
        """Return a reason, empty if there is none; `bypassed` are the layers of added blocks that add nothing, `chains`
        those of added blocks that pass on what they get."""
        place = pair.target.place
        if added:
            idle = place in bypassed or place in chains or self._is_idle(place, bypassed)
            return "" if idle else "it is added and is no identity"
        mine, theirs = self._mine.get(place), self._theirs.get(pair.source.place)
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
