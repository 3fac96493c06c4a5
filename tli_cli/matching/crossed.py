"""Pairs whose sources stand for each other by their roles, where the order of a file's layers was lost."""

from __future__ import annotations

from collections.abc import Iterable

from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.values import Pair


def uncrossed(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs with the sources changed over of any two of one block of which each then has its target's role,
    and neither had: what was paired in an order that was guessed."""
    found = list(pairs)
    wrong = [i for i, pair in enumerate(found) if not pair.anchored and pair.target.role not in ("", pair.source.role)]
    for place, i in enumerate(wrong):
        for k in wrong[place + 1 :]:
            first, second = found[i], found[k]
            if _fits(first, second) and _fits(second, first):
                found[i], found[k] = _with_source_of(first, second), _with_source_of(second, first)
                break
    return found


def _fits(pair: Pair, other: Pair) -> bool:
    """Tell whether the target of `pair` has the role and the shape of the source of `other`, in one block with its
    own source."""
    t, s = pair.target, other.source
    return (t.role, t.kind, t.shape, s.block) == (s.role, s.kind, s.shape, pair.source.block)


def _with_source_of(pair: Pair, other: Pair) -> Pair:
    return Pair(pair.target, other.source, unit_similarity(pair.target, other.source), repeat=other.repeat)
