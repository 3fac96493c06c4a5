"""Pairs of units that graphs, shapes and names prove, before any block is held against another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tli_cli.matching.anchors import Anchor, Strength, anchors
from tli_cli.matching.contained import inside
from tli_cli.matching.namesakes import run_alike
from tli_cli.matching.same_shapes import are_all, in_other_words, twins
from tli_cli.matching.sibling_heads import heads_beside
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.tied import biases_of_tables, tables_in_heads, tied_heads
from tli_cli.matching.unit_pairs import ENOUGH
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Pair

Units = tuple[Unit, Unit]
"""A target unit and a source unit."""


@dataclass(frozen=True)
class Evidence:
    """What is known of two sides.

    Attributes:
        pairs: the pairs by target unit.
        strengths: how much speaks for those that the graphs tell of.
        twins_are_all: whether shapes pair all units of both sides.
        inside: all of the network that stands whole within the other one, if one of them does.
    """

    pairs: Mapping[Key, Pair]
    strengths: Mapping[Key, Strength]
    twins_are_all: bool
    inside: Sequence[Units] = ()

    @property
    def proven(self) -> set[Key]:
        """The target units whose place the graphs prove."""
        return {key for key, strength in self.strengths.items() if strength is Strength.PROVEN}

    @property
    def certain(self) -> set[Key]:
        """The target units of which the graphs leave no doubt."""
        return {key for key, strength in self.strengths.items() if strength is not Strength.LIKELY}

    def is_likely(self, unit: Unit) -> bool:
        """Tell whether no more speaks for the pair of a target unit than what is near it in the graphs."""
        return self.strengths.get(unit.key) is Strength.LIKELY


def evidence_of(source: Side, target: Side, named: Sequence[Units]) -> Evidence:
    """Return what is known of two sides, of which `named` are the units of one name."""
    known = both_known(source, target)
    within = inside(source, target, named)
    alike = known and run_alike(source, target, named)
    told = (Anchor(t, s, Strength.PROVEN) for t, s in named) if alike else anchors(source, target)
    anchored = _with_inside(within, list(told))
    strengths = {anchor.target.key: anchor.strength for anchor in anchored}
    found = {anchor.target.key: _pair(anchor) for anchor in anchored}
    same = list(twins(source, target))
    found |= {t.key: Pair(t, s, max(unit_similarity(t, in_other_words(t, s)), ENOUGH)) for t, s in same}
    if not known:
        found = _with_named(named, found)
    elif len(named) == len(target.units):
        found = _with_left_over(named, found)
    for t, s in (*tied_heads(source, target), *tables_in_heads(source, target)):
        found.setdefault(t.key, Pair(t, s, unit_similarity(t, replace(s, kind=t.kind)), anchored=known))
    for t, s in biases_of_tables(source, target):
        found.setdefault(t.key, Pair(t, s, ENOUGH, anchored=True))
    proven = {key for key, strength in strengths.items() if strength is Strength.PROVEN}
    _replace(heads_beside(source.heads, target.heads), found, proven)
    return Evidence(found, strengths, are_all(same, source, target), within)


def _with_inside(within: Sequence[Units], anchored: Sequence[Anchor]) -> list[Anchor]:
    """Return what the graphs tell, where a network that stands within the other one leaves no doubt of its layers."""
    kept = [anchor for anchor in anchored if not within or anchor.strength is not Strength.LIKELY]
    taken, given = {anchor.target.key for anchor in kept}, {anchor.source.key for anchor in kept}
    return kept + [Anchor(t, s, Strength.CERTAIN) for t, s in within if t.key not in taken and s.key not in given]


def _pair(anchor: Anchor) -> Pair:
    """Return a pair that the graphs tell of: where they prove it, whatever names say that the layers are for."""
    target, source = anchor.target, anchor.source
    same = anchor.strength is not Strength.PROVEN or source.role == target.role
    named = source if same else replace(source, role=target.role)
    similarity = unit_similarity(target, named)
    return Pair(target, source, similarity, anchored=True, by_order=anchor.by_order)


def _with_named(named: Sequence[Units], found: Mapping[Key, Pair]) -> dict[Key, Pair]:
    """Return `found` with pairs of one name in place of others."""
    theirs = {s.key for _, s in named}
    kept = {key: pair for key, pair in found.items() if pair.source.key not in theirs}
    return kept | {t.key: _namesake(t, s) for t, s in named}


def _with_left_over(named: Sequence[Units], found: Mapping[Key, Pair]) -> dict[Key, Pair]:
    """Return `found` with pairs of one name where it leaves both units open."""
    given = {pair.source.key for pair in found.values()}
    return {**found, **{t.key: _namesake(t, s) for t, s in named if t.key not in found and s.key not in given}}


def _namesake(target: Unit, source: Unit) -> Pair:
    return Pair(target, source, max(unit_similarity(target, source), ENOUGH))


def _replace(pairs: Iterable[Units], found: dict[Key, Pair], proven: set[Key]) -> None:
    """Add pairs in place of those of either unit that are not proven."""
    for t, s in pairs:
        held = [key for key, pair in found.items() if t.key == key or s.key == pair.source.key]
        if proven.isdisjoint(held):
            for key in held:
                del found[key]
            found[t.key] = Pair(t, s, unit_similarity(t, s), anchored=True)
