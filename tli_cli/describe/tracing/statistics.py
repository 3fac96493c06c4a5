"""What code averages, sums up or measures over dimensions of values: copies of channels may change it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tli_cli.architecture import AxisTree
from tli_cli.describe.spaces import SpaceTable, leaves

MEAN, LENGTH, OTHER = "mean", "length", "other"
"""What stays as it is where each channel has as many copies; the root of a sum of squares, which grows with the root of
their number; what copies change in some other way."""


class Statistics:
    """The statistics of a run, by number. Those are settled that a norm with tensors of its own takes: how its channels
    are widened is a rule of its own."""

    def __init__(self, table: SpaceTable) -> None:
        self._table = table
        self._found: list[tuple[str, tuple[AxisTree, ...]]] = []
        self._settled: set[int] = set()
        self._met: set[int] = set()

    def note(self, kind: str, trees: Sequence[AxisTree]) -> frozenset[int]:
        """Note a statistic over the dimensions `trees` and return its number."""
        self._found.append((kind, tuple(trees)))
        return frozenset({len(self._found) - 1})

    def settle(self, numbers: Collection[int], channels: Sequence[AxisTree]) -> bool:
        """Note that a norm, whose own tensors run over `channels`, takes the statistics `numbers`, of which those over
        these alone are its own; return whether all are taken over other dimensions, channel by channel."""
        own = self._leaves(channels)
        for i in numbers:
            kind, trees = self._found[i]
            if kind != OTHER and self._leaves(trees) == own:
                self._settled.add(i)
        return bool(numbers) and all(own.isdisjoint(self._leaves(self._found[i][1])) for i in numbers)

    def are_over_places(self, numbers: Collection[int]) -> bool:
        """Tell whether one of the statistics `numbers` is taken over places."""
        return any(self._table.kind(leaf) == "grid" for i in numbers for leaf in self._leaves(self._found[i][1]))

    def _leaves(self, trees: Sequence[AxisTree]) -> set[int]:
        """Return what `trees` run over, dimensions of one index apart."""
        return {*self._table.leaves(*(tree for tree in trees if self._table.size(tree) > 1))}

    def meet(self, sides: Sequence[Collection[int]], over: Sequence[AxisTree]) -> bool:
        """Note that values are multiplied and summed over dimensions, of which all `sides` are divided by their lengths
        there, so that copies change nothing; return whether that is so."""
        dims = self._leaves(over)
        alike = all(
            bool(numbers)
            and all(self._found[i][0] == LENGTH and self._leaves(self._found[i][1]) == dims for i in numbers)
            for numbers in sides
        )
        self._met.update(i for numbers in sides if alike for i in numbers)
        return alike

    def size_of_length(self, numbers: Collection[int]) -> int:
        """Return how many values the last of the statistics `numbers` is measured over, if that is a length; else 0."""
        kind, trees = self._found[max(numbers)] if numbers else (OTHER, ())
        return self._size(trees) if kind == LENGTH else 0

    @property
    def averaged(self) -> list[AxisTree]:
        """What is averaged or measured over as a whole: it takes as many copies of each channel."""
        return [tree for kind, tree in self._open() if kind != OTHER and not self._is_of_parts(tree)]

    @property
    def met(self) -> list[AxisTree]:
        """What products are summed over whose factors are divided by their lengths there."""
        return [tree for i in self._met for tree in self._found[i][1]]

    @property
    def measured(self) -> list[AxisTree]:
        """What lengths are measured over, unless what is divided by them meets what is divided by its own."""
        return [tree for kind, tree in self._open(self._met) if kind == LENGTH]

    @property
    def changed(self) -> list[AxisTree]:
        """What copies change, whatever their number: also parts end to end, which may not grow alike."""
        return [tree for kind, tree in self._open() if kind == OTHER or self._is_of_parts(tree)]

    def _open(self, without: Collection[int] = ()) -> Iterator[tuple[str, AxisTree]]:
        for i, (kind, trees) in enumerate(self._found):
            if i not in self._settled and i not in without:
                yield from ((kind, tree) for tree in trees)

    def _is_of_parts(self, tree: AxisTree) -> bool:
        resolved = self._table.resolve(tree)
        return isinstance(resolved, tuple) and _has_unlike_parts(resolved)

    def _size(self, trees: Sequence[AxisTree]) -> int:
        size = 1
        for tree in trees:
            size *= self._table.size(tree)
        return size


def _has_unlike_parts(tree: AxisTree) -> bool:
    if isinstance(tree, int):
        return False
    unlike = tree[0] == "+" and len({frozenset(leaves(part)) for part in tree[1:]}) > 1
    return unlike or any(map(_has_unlike_parts, tree[1:]))
