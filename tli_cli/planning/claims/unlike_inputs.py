"""Whether equal layers make equal networks, and added blocks leave what they stand in as it was: what goes into each
layer, the silent layers left out, is held against what goes into its partner, and so is what comes out at the end.

Values of both graphs are numbers for that: what is made alike of the same has one number."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.walks import makers
from tli_cli.matching.units import Key
from tli_cli.noted import UNPLACED
from tli_cli.planning.claims.value_numbers import OWN, Values
from tli_cli.planning.numbers import were_run
from tli_cli.planning.prepared import Prepared


def unlike_inputs(known: Prepared, unread: Collection[int]) -> set[int]:
    """Return the layers of the target that take something else than their partners in the source, by their places, and
    those behind which something else comes out at the end, unless the target ends where layers follow that it lacks.

    What the layers `unread` make is read with zero weight.
    """
    target, source, folded = known.target, known.source, known.folding.taken
    values = Values(masks=were_run(target, source), code=_code_alike(target, source))
    own = _Made(known, unread, values)
    mine, made_here = values.taken(target, own.made, own.cut)
    theirs, made_there = values.taken(source, lambda place: None if place in folded else values.layer(place))
    unlike = {
        place
        for place, found in own.parts.items()
        if place in mine and not any(map(values.is_own, mine[place]))
        if (taken := [theirs[p] for p, _ in found.values() if p in theirs])
        and not any(_are_alike(mine[place], other, target.layers[place]) for other in taken)
    }
    unfed = {*range(len(source.layers))}.difference((pair.source.place for pair in known.first), folded)
    ends = [node for node in range(len(target.graph)) if not target.readers[node]]
    given = {made_there[node] for node in _ends_and_features(source, unfed)}
    given |= {values.end(value) for value in given} if len(ends) == 1 else set()
    made = ((node, values.end(made_here[node]) if len(ends) == 1 else made_here[node]) for node in ends)
    strange = [node for node, value in made if value not in given and not values.is_own(value)]
    return unlike | makers(target.graph, strange)


def _code_alike(*architectures: Architecture) -> bool:
    """Tell whether the code of all was followed, and does the same as often to as many inputs, wherever that is."""
    followed = [a.order_from == "trace" and any(node.code is not None for node in a.graph) for a in architectures]
    placed = [Counter(n for layer in a.layers for n in layer.numbers if n[0] not in UNPLACED) for a in architectures]
    inputs = [sum(node.op == "input" for node in a.graph) for a in architectures]
    return all(followed) and len(set(inputs)) == 1 and all(own == placed[0] for own in placed)


class _Made:
    """What the target's layers make, of what their partners make; `parts` are these, by place and part."""

    def __init__(self, known: Prepared, unread: Collection[int], values: Values) -> None:
        self.parts: dict[int, dict[int, Key]] = defaultdict(dict)
        for pair in known.first:
            self.parts[pair.target.place][pair.target.part] = pair.source.key
        self._known, self._unread, self._values = known, unread, values

    def made(self, place: int) -> int | None:
        """Return the number of what a layer makes; None if it passes on what it takes."""
        if place in self._known.silent:
            return self._values.zero
        if place in self._unread:
            return self._values.nothing
        if place in self._known.passing:
            return None
        if place in self.parts:
            return self._values.fused(place, self.parts[place])
        return self._values.number(("copy" if place in self._known.copies else OWN, place))

    def cut(self, place: int, part: int) -> int | None:
        """Return the number of a part of what a layer makes; None if it has no partner of its own."""
        partner = self.parts[place].get(part) if place in self.parts else None
        silent = place in self._known.silent or place in self._unread
        return None if partner is None or silent else self._values.unit(partner)


def _are_alike(mine: Collection[int], theirs: Collection[int], layer: Layer) -> bool:
    """Tell whether a layer takes what its partner takes, each time that it is run; a table may also serve as a head
    that is apart in the source, and a norm that is written out takes what it has scaled."""
    once = layer.kind in ("embedding", "norm")
    return bool(set(mine) & set(theirs)) if once else set(mine) <= set(theirs)


def _ends_and_features(architecture: Architecture, lost: Collection[int]) -> set[int]:
    """Return the nodes that nothing reads, and those from which every way to the end leads through one of the layers
    `lost`: features of a network without its head, which is no mere sum or product with what a layer holds."""
    ends, found = set(), set()
    heads = {place for place in lost if architecture.layers[place].kind not in ("bias", "position", "scale")}
    for i in range(len(architecture.graph) - 1, -1, -1):
        readers = architecture.readers[i]
        if not readers:
            ends.add(i)
        elif all(r in found or architecture.graph[r].layer in heads for r in readers):
            found.add(i)
    return ends | found
