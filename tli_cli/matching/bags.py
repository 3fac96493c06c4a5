"""Multisets of labels that are compared very often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from functools import lru_cache

_NUMBERS: dict[Hashable, int] = {}
_BAGS: dict[tuple[tuple[int, int], ...], Bag] = {}


class Bag:
    """How often each label occurs. Equal bags are one object, so that they can be told apart by identity."""

    __slots__ = ("counts", "total")

    def __init__(self, counts: dict[int, int]) -> None:
        self.counts = counts
        self.total = sum(counts.values())


def bag_of(labels: Iterable[Hashable]) -> Bag:
    """Return the bag of `labels`."""
    return _bag(Counter(_NUMBERS.setdefault(label, len(_NUMBERS)) for label in labels))


def joined(bags: Iterable[Bag]) -> Bag:
    """Return the bag of all that is in `bags`."""
    counts: Counter[int] = Counter()
    for bag in bags:
        counts.update(bag.counts)
    return _bag(counts)


def _bag(counts: Counter[int]) -> Bag:
    return _BAGS.setdefault(tuple(sorted(counts.items())), Bag(dict(counts)))


@lru_cache(maxsize=1 << 18)
def overlap(first: Bag, second: Bag) -> float:
    """Return the shared share of two bags, in [0, 1] (Dice)."""
    if first is second:
        return 1.0
    mine, theirs = (first, second) if len(first.counts) <= len(second.counts) else (second, first)
    shared, counts = 0, theirs.counts
    for label, number in mine.counts.items():
        other = counts.get(label, 0)
        shared += number if number < other else other
    return 2 * shared / (first.total + second.total)
