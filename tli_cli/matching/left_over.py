"""Pairs of layers that nothing else has paired: those of one size between the same other pairs, such as parts of a
module that one side cuts in two, or a last layer that counts as part of the head there; and as many of a kind on one
side as on the other, wherever they stand in an order that was inferred."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from tli_cli.describe.vocabulary_places import tower
from tli_cli.grouping import grouped
from tli_cli.matching.alignment import align
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair

KINDS = (*WEIGHTED, "norm")


def left_between(targets: Sequence[Unit], sources: Sequence[Unit], pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Yield pairs of units that stand in none of `pairs` and between the same ones, in order."""
    partners = {pair.target.key: pair.source.key for pair in pairs}
    given = set(partners.values())
    place = {unit.key: i for i, unit in enumerate(sources)}
    known = [place.get(partners[unit.key], -1) if unit.key in partners else -1 for unit in targets]
    for _, run in groupby(range(len(targets)), key=lambda i: known[i] >= 0):
        places = list(run)
        if known[places[0]] >= 0:
            continue
        first = known[places[0] - 1] + 1 if places[0] else 0
        last = known[places[-1] + 1] if places[-1] + 1 < len(targets) else len(sources)
        wanted = [targets[i] for i in places if targets[i].kind in KINDS]
        offered = [unit for unit in sources[first:last] if unit.key not in given]
        table = [[float(t.exact_label == s.exact_label) for s in offered] for t in wanted]
        found = ((wanted[i], offered[j]) for i, j in align(table) if table[i][j])
        yield from (Pair(t, s, unit_similarity(t, s)) for t, s in found)


TABLES = ("embedding", "position", "token")


def with_left_over(matching: Matching) -> Matching:
    """Return `matching` with pairs of what nothing else has paired, or what has the partner of another layer; the block
    of a target's layer that gets its own is none that is added."""
    pairs = matching.by_target
    given = {pair.source.key for pair in matching.pairs}
    wanted = [unit for unit in matching.targets if unit.key not in pairs or unit.key in matching.reused]
    offered = [unit for unit in matching.sources if unit.key not in given]
    found = [Pair(t, s, unit_similarity(t, s)) for t, s in _left_alike(wanted, offered)]
    added = matching.added_blocks.difference(pair.target.home for pair in found)
    pairs = {**pairs, **{pair.target.key: pair for pair in found}}
    return replace(matching.with_pairs(pairs), added_blocks=added)


def _left_alike(targets: Sequence[Unit], sources: Sequence[Unit]) -> Iterator[tuple[Unit, Unit]]:
    """Yield pairs of units of one tower, in order: those of one name, of one shape and role, of one shape, then tables
    that have other rows, and what has one role alone."""
    for label in LABELS:
        mine, theirs = grouped(targets, label), grouped(sources, label)
        found = [
            pair
            for key, units in mine.items()
            if key is not None and len(units) == len(theirs.get(key, ()))
            for pair in zip(units, theirs[key], strict=True)
        ]
        yield from found
        seen = {unit.key for unit, _ in found}, {unit.key for _, unit in found}
        targets, sources = (
            [u for u in units if u.key not in s] for units, s in zip((targets, sources), seen, strict=True)
        )


def _shape(unit: Unit) -> tuple[Hashable, ...]:
    return unit.kind, unit.shape, unit.kernel, tower(f"{unit.path}.")


def _table(unit: Unit) -> Hashable:
    return (unit.kind, unit.role, unit.shape[1:], tower(f"{unit.path}.")) if unit.kind in TABLES else None


LABELS: tuple[Callable[[Unit], Hashable], ...] = (
    lambda unit: (unit.kind, unit.path, unit.part),
    lambda unit: (*_shape(unit), unit.role),
    _shape,
    _table,
    lambda unit: (unit.kind, unit.role, len(unit.shape), tower(f"{unit.path}.")),
)
