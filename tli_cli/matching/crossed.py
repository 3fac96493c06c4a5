"""Pairs whose sources stand for each other by their roles, where the order of a file's layers was lost."""

from __future__ import annotations

from collections.abc import Iterable

from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.values import Pair


def uncrossed(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs, two of one block at a time with their sources changed over where one then has its target's
    role, and neither had, and the other has it too or is named for nothing: what was paired in an order that was
    guessed."""
    found = list(pairs)
    wrong = [i for i, pair in enumerate(found) if _is_wrong(pair)]
    for place in wrong:
        for other in wrong:
            first, second = found[place], found[other]
            both = first.target.role and _is_wrong(first) and _is_wrong(second) and _fits(first, second)
            if both and (not second.target.role or _fits(second, first)):
                found[place], found[other] = _with_source_of(first, second), _with_source_of(second, first)
                break
    return found


def _is_wrong(pair: Pair) -> bool:
    return not pair.anchored and pair.target.role != pair.source.role


def _fits(pair: Pair, other: Pair) -> bool:
    """Tell whether the target of `pair` has role and shape of `other`'s source, which is in one block with its own."""
    t, s = pair.target, other.source
    return (t.role, t.kind, t.shape, s.block) == (s.role, s.kind, s.shape, pair.source.block)


def _with_source_of(pair: Pair, other: Pair) -> Pair:
    return Pair(pair.target, other.source, unit_similarity(pair.target, other.source), repeat=other.repeat)
