"""What stands right before each layer of two networks: a layer behind others than its partner takes something else."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from tli_cli.architecture import Architecture, Layer, Node
from tli_cli.grouping import gathered
from tli_cli.matching.units import Key, Unit
from tli_cli.planning.identity import NOT_ZERO
from tli_cli.planning.prepared import Prepared
from tli_cli.planning.refusals import is_constant, is_drawn

Term = frozenset[Hashable]
"""The units, or the input, of which one term of a sum is made."""

Terms = tuple[Term, ...]
"""A sum in the order in which its terms are made; of anything else, one term."""

LACKED = "a layer that the source lacks stands before it"
OTHER = "other layers stand before it in the source"
BEHIND = "all that stands before it takes something else than in the source"
INPUT: Term = frozenset({"input"})
ADDED = ("position", "bias_table")
"""Kinds of layers that are added to what goes into them."""


def strange_feeders(known: Prepared, unread: Collection[int]) -> dict[int, str]:
    """Return for layers of the target, by place, why what stands right before them is not what stands before their
    partner.

    Of a sum the term that was made last counts, which is to be among the terms of the other sum. What the layers
    `unread` make is read with zero weight.
    """
    matching = known.matching
    computed = {pair.target.key for pair in matching.pairs if is_computed_otherwise(*known.layers(pair), known)}
    partners = {pair.target.key: pair.source.key for pair in matching.pairs if pair.target.key not in computed}
    mine = _taken(known.target, matching.targets, known.silent.union(unread), known.passing)
    theirs = _taken(known.source, matching.sources, (), known.folding.taken)
    found: dict[int, str] = {}
    for pair in matching.pairs:
        place = pair.target.place
        here = [tuple(_renamed(term, partners) for term in terms) for terms in mine.get(place, ())]
        there = theirs.get(pair.source.place, set())
        both = ((mine, theirs) for mine in here for theirs in there)  # the last terms decide
        if here and there and not any(not m or not t or (m[-1] in t and t[-1] in m) for m, t in both):
            lacks = all(any(isinstance(k, tuple) and k[0] == "own" for k in terms[-1]) for terms in here if terms)
            found[place] = LACKED if lacks else OTHER
    return found | _behind(found, mine, partners)


def is_computed_otherwise(layer: Layer, partner: Layer, known: Prepared) -> bool:
    """Tell whether a layer of buffers, such as waves of positions, keeps what its constructor works out, where that of
    its partner is known to work out others of the same shape."""
    mine, theirs = layer.tensor("weight") or "", partner.tensor("weight") or ""
    specs = known.target.by_name.get(mine), known.source.by_name.get(theirs)
    starts = known.target.initial.get(mine), known.source.initial.get(theirs)
    found = any(start is None or is_constant(start) or is_drawn(start) for start in starts)
    if None in specs or found or len(layer.tensors) > 1:
        return False
    same = (specs[0].shape, specs[0].dtype) == (specs[1].shape, specs[1].dtype)  # type: ignore[union-attr]
    return same and all(spec.buffer for spec in specs if spec) and starts[0] != starts[1]


def _behind(found: Mapping[int, str], mine: Mapping[int, Collection[Terms]], known: Collection[Key]) -> dict[int, str]:
    """Return the layers that stand behind layers without a partner and such as are `found` alone, in whatever row."""
    lost = set(found)
    for place, taken in mine.items():
        keys = {key for terms in taken for term in terms for key in term}
        if keys and all(key not in INPUT and (key not in known or key[0] in lost) for key in keys):  # type: ignore[index]
            lost.add(place)
    return {place: BEHIND for place in lost.difference(found)}


def _renamed(term: Term, known: Mapping[Key, Key]) -> Term:
    return frozenset(key if key in INPUT else known.get(key, ("own", key)) for key in term)  # type: ignore[call-overload]


def _taken(
    architecture: Architecture, units: Iterable[Unit], silent: Collection[int], passing: Collection[int]
) -> dict[int, set[Terms]]:
    """Return for each layer what it takes, each time that it is run."""
    keys = gathered((unit.place, unit.key) for unit in units)
    values: list[Terms] = []
    zeros: list[bool] = []
    found: dict[int, set[Terms]] = {}
    for node in architecture.graph:
        before = [values[i] for i in sorted(node.inputs)]
        zeros.append(_is_zero(node, [zeros[i] for i in node.inputs], silent))
        if node.op == "input":
            values.append((INPUT,))
        elif node.layer >= 0:
            summed = tuple(term for terms in before for term in terms)
            found.setdefault(node.layer, set()).add(summed)
            own = (frozenset(keys[node.layer]),) if node.layer in keys else ()
            added = architecture.layers[node.layer].kind in ADDED
            values.append(() if node.layer in silent else summed if node.layer in passing else
                          (*summed, *own) if added else own)  # fmt: skip
        elif node.op == "part":
            part = (architecture.graph[node.inputs[0]].layer, node.index)
            values.append((frozenset({part}),) if part in keys.get(part[0], ()) else before[0])
        elif zeros[-1]:
            values.append(())
        elif len(set(before)) == 1:
            values.append(before[0])
        elif node.op == "add" or not before:
            values.append(tuple(term for terms in before for term in terms))
        else:
            joined = frozenset().union(*(term for terms in before for term in terms))
            values.append((joined,) if joined else ())
    return found


def _is_zero(node: Node, before: Sequence[bool], silent: Collection[int]) -> bool:
    """Tell whether a node gives zero, where the layers `silent` do."""
    if node.layer >= 0 or not before:
        return node.layer in silent
    return any(before) if node.op in ("mul", "matmul") else all(before) and node.op not in NOT_ZERO
