"""Pairs of layers of one size that are left over between other pairs: parts of a module that one side cuts in two, or a
last layer that counts as part of the head there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tli_cli.matching.alignment import align
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Pair

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
