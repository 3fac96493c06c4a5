"""Whether equal layers make equal networks, and added blocks leave what they stand in as it was: what goes into each
layer, the silent layers left out, is held against what goes into its partner, and so is what comes out at the end.

Values of both graphs are numbers for that: what is made alike of the same has one number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.walks import makers
from tli_cli.matching.units import Key
from tli_cli.planning.claims.value_numbers import OWN, Values
from tli_cli.planning.numbers import were_run
from tli_cli.planning.prepared import Prepared


def unlike_inputs(known: Prepared, unread: Collection[int]) -> set[int]:
    """Return the layers of the target that take something else than their partners in the source, by their places, and
    those behind which something else comes out at the end, unless the target ends where layers follow that it lacks.

    What the layers `unread` make is read with zero weight.
    """
    target, source, silent, folded = known.target, known.source, known.silent, known.folding.taken
    values = Values(masks=were_run(target, source))
    parts: dict[int, dict[int, Key]] = defaultdict(dict)
    for pair in known.first:
        parts[pair.target.place][pair.target.part] = pair.source.key

    def made(place: int) -> int | None:
        if place in silent:
            return values.zero
        if place in unread:
            return values.nothing
        if place in known.passing:
            return None
        if place in parts:
            return values.fused(place, parts[place])
        return values.number(("copy" if place in known.copies else OWN, place))

    def cut(place: int, part: int) -> int | None:
        partner = parts[place].get(part) if place in parts else None
        return None if partner is None or place in silent or place in unread else values.unit(partner)

    mine, made_here = values.taken(target, made, cut)
    theirs, made_there = values.taken(source, lambda place: None if place in folded else values.layer(place))
    unlike = {
        place
        for place, found in parts.items()
        if place in mine and not any(map(values.is_own, mine[place]))
        if (taken := [theirs[p] for p, _ in found.values() if p in theirs])
        and not any(_are_alike(mine[place], other, target.layers[place]) for other in taken)
    }
    unfed = {*range(len(source.layers))}.difference((pair.source.place for pair in known.first), folded)
    given = {made_there[node] for node in _ends_and_features(source, unfed)}
    ends = ((node, value) for node, value in enumerate(made_here) if not target.readers[node])
    strange = [node for node, value in ends if value not in given and not values.is_own(value)]
    return unlike | makers(target.graph, strange)


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
