"""What code does with a value on its way from the node that made it to one that takes it, as far as that is noted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from zlib import crc32

from tli_cli.architecture import Node
from tli_cli.describe.tracing.values import Value
from tli_cli.noted import UNPLACED, Number

Code = tuple[Number, ...]

AVERAGED: Number = ("averaged",)
"""In place of an operation: that a value is a mean over places."""

TURNED = frozenset({"sub", "rsub", "div"})
"""Operations that make something else of two values in the other order."""


class Edges:
    """For each input of each node which numbers were noted in between."""

    def __init__(self) -> None:
        self._noted: dict[tuple[int, int], set[int]] = defaultdict(set)
        self._in_means: dict[tuple[int, int], set[int]] = {}
        self._met: dict[int, list[Collection[int]]] = {}
        self._sides_of: dict[int, tuple[int, ...]] = {}

    def add(self, node: int, at: int, numbers: Iterable[int]) -> None:
        """Note that `numbers` stand before the input of `node` at place `at`."""
        self._noted[node, at].update(numbers)

    def meet(self, number: int, values: Sequence[Value]) -> None:
        """Note which values, made of one node's, meet in the operation that `number` tells of."""
        self._met[number] = [value.steps for value in values]

    def follow(
        self, nodes: Sequence[Node], first: int, given: Sequence[Value | None], numbers: Collection[int]
    ) -> None:
        """Note what stands before the nodes from `first` on, which one operation, of which `numbers` were noted, made
        of `given`."""
        for node in range(first, len(nodes)):
            inputs = nodes[node].inputs
            for at, taken in enumerate(inputs):
                values = [value for value in given if value is not None and value.node == taken]
                self._take(node, at, _one_of(values, inputs[:at].count(taken), inputs.count(taken)))
            if nodes[node].layer < 0 and inputs:
                told = set[int]().union(*(self._noted[node, at] for at in range(len(inputs))))
                self.add(node, 0, {*numbers} - told)

    def _take(self, node: int, at: int, values: Sequence[Value]) -> None:
        self.add(node, at, set[int]().union(*(value.steps for value in values)))
        means = [value.in_mean for value in values if value.averaged]
        if means:
            self._in_means[node, at] = set[int]().union(*means)

    def before(
        self, node: int, inputs: Sequence[int], numbers: Sequence[tuple[int, Number]], forgotten: Collection[int]
    ) -> tuple[Code, ...]:
        """Return what stands before each of the `inputs` of a node, by their places; nothing if nothing does."""
        code = tuple(self._before(node, at, numbers, forgotten) for at in inputs)
        return code if any(code) else ()

    def _before(self, node: int, at: int, numbers: Sequence[tuple[int, Number]], forgotten: Collection[int]) -> Code:
        noted, inner = self._noted.get((node, at), set()), self._in_means.get((node, at))
        if inner is None:
            return self._told(noted, numbers, forgotten)
        before, behind = (self._told(own, numbers, forgotten) for own in (noted & inner, noted - inner))
        return (*before, AVERAGED, *behind)

    def _told(self, noted: Collection[int], numbers: Sequence[tuple[int, Number]], forgotten: Collection[int]) -> Code:
        """Return the numbers `noted` in order, each of which meet values with what tells these apart."""
        placed = [i for i in sorted(noted) if i not in forgotten and numbers[i][1][0] not in UNPLACED]
        return tuple((*numbers[i][1], *self._sides(i, numbers, forgotten)) for i in placed)

    def _sides(self, number: int, numbers: Sequence[tuple[int, Number]], forgotten: Collection[int]) -> tuple[int, ...]:
        if number not in self._sides_of:
            told = (self._told(noted, numbers, forgotten) for noted in self._met.get(number, ()))
            sides = [crc32(repr(code).encode()) for code in told]
            ordered = not TURNED.isdisjoint(numbers[number][1])
            self._sides_of[number] = tuple(sides if ordered else sorted(sides))
        return self._sides_of[number]


def _one_of(values: Sequence[Value], rank: int, count: int) -> Sequence[Value]:
    """Return the one of several values of one node that is meant, if they are as many as the `count` of inputs; else
    all."""
    return values[rank : rank + 1] if len(values) == count else values


def passed_on(code: Sequence[Code], through: Mapping[int, Code], inputs: Sequence[int]) -> tuple[Code, ...]:
    """Return what stands before the `inputs` of a node, with what stands before those nodes that are left out."""
    own = code or [()] * len(inputs)
    whole = tuple((*through.get(taken, ()), *behind) for taken, behind in zip(inputs, own, strict=True))
    return whole if any(whole) else ()
