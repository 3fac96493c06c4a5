"""The channels that flow through a network without a graph, and the guess which of them a layer takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

from tli_cli.architecture import AxisTree
from tli_cli.describe.from_names.heads import Attention
from tli_cli.describe.spaces import SpaceTable

MERGED_PATCHES = 4


class Flow:
    """What the layers met so far have given.

    `current` is what the last layer gave, `entry` what the block was given, `base` what the residual branch at hand
    started from; `made` lists what the block's layers gave and `unused` those of them that no layer has taken yet;
    `stage_made` and `history` list what the blocks of the stage and of the network gave; `misses` counts the layers
    that found nothing at hand; `started` tells whether any layer with weights has been met; `of_text` are the
    paths of the tables of positions of a text; the rows of the fused weights `by_head` stand head by head, and
    `guessed` are those of which nothing tells how many heads there are; `heads` are the numbers of heads by the path of
    a layer, where something tells them.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any], by_head: Collection[str]
    ) -> None:
        self.table = SpaceTable()
        self.misses = 0
        self.started = False
        self.of_text: Collection[str] = ()
        self.shapes = shapes
        self.config = config
        self.by_head = by_head
        self.axes: dict[str, tuple[AxisTree, ...]] = {}
        self.summed: set[tuple[str, int]] = set()
        self.groups: dict[str, int] = {}
        self.attentions: dict[str, Attention] = {}
        self.guessed: list[AxisTree] = []
        self.heads: dict[str, int] = {}
        self.current: AxisTree | None = None
        self.entry: AxisTree | None = None
        self.base: AxisTree | None = None
        self.gate: AxisTree | None = None
        self.attention_input: AxisTree | None = None
        self.mlp_input: AxisTree | None = None
        self.made: list[AxisTree] = []
        self.unused: list[AxisTree] = []
        self.stage_made: list[AxisTree] = []
        self.history: list[AxisTree] = []
        self._pool: dict[int, AxisTree] = {}

    def size(self, tree: AxisTree | None) -> int:
        """Return the number of channels of `tree`; 0 if there is none."""
        return 0 if tree is None else self.table.size(self.table.resolve(tree))

    def pooled(self, size: int) -> AxisTree:
        """Return the space that all axes of `size` share of which nothing else is known."""
        if size not in self._pool:
            self._pool[size] = self.table.leaf(size)
        return self._pool[size]

    def set(self, name: str, trees: Sequence[AxisTree]) -> None:
        """Set the axes of a tensor; where a tree is not as long as the axis, nothing is known of that axis."""
        shape = self.shapes[name]
        if len(trees) != len(shape):
            trees = [self.pooled(size) for size in shape]
        if shape:
            self.axes[name] = tuple(
                tree if self.size(tree) == size else self.pooled(size) for tree, size in zip(trees, shape, strict=True)
            )

    def near(self, wanted: int) -> AxisTree | None:
        """Return channels of that width at hand: the last layer's, the branch's, the block's, or those left over."""
        return self._fitting(self._near(), wanted)

    def far(self, wanted: int) -> AxisTree | None:
        """Return channels of that width put together from what was given before."""
        return self._fitting(self._far(wanted), wanted)

    def give(self, tree: AxisTree, source: AxisTree | None) -> None:
        """Note that a layer took `source` and gave `tree`."""
        self.unused = [t for t in self.unused if t is not source]
        self.current, self.started = tree, True
        self.made.append(tree)
        self.unused.append(tree)

    def _fitting(self, trees: Iterable[AxisTree | None], wanted: int) -> AxisTree | None:
        return next((tree for tree in trees if tree is not None and self.size(tree) == wanted), None)

    def _joined(self, trees: list[AxisTree]) -> AxisTree:
        return self.table.summed([self.table.resolve(tree) for tree in trees])

    def _near(self) -> Iterator[AxisTree | None]:
        yield from (self.current, self.base, self.entry)
        if len(self.unused) > 1:
            yield self._joined(self.unused)

    def _widths_from(self, made: list[AxisTree]) -> Iterator[tuple[int, int]]:
        """Yield from where on two layers or more were `made`, the latest first, and the channels of them together."""
        sizes = accumulate(map(self.size, reversed(made)))
        yield from islice(zip(range(len(made) - 1, -1, -1), sizes, strict=True), 1, None)

    def _far(self, wanted: int) -> Iterator[AxisTree | None]:
        for made in (self.made, self.stage_made):
            for start, width in self._widths_from(made):
                if width >= wanted:
                    if width == wanted:
                        yield self._joined(made[start:])
                    break
        yield self._doubled(wanted)
        yield self._skipped(wanted)
        yield self._multiple(wanted)
        yield from reversed(self.made)
        yield from reversed(self.history)

    def _doubled(self, wanted: int) -> AxisTree | None:
        """Return one half of the current channels: a gated unit, which multiplies one half with the other."""
        if self.current is None or self.size(self.current) != 2 * wanted:
            return None
        half = self.table.leaf(wanted)
        return half if self.table.unite(self.current, ("+", half, half)) else None

    def _skipped(self, wanted: int) -> AxisTree | None:
        """Return the current channels after those of an earlier block that fill them up: a skip connection."""
        missing = wanted - self.size(self.current)
        if self.current is None or missing <= 0:
            return None
        own = self.table.resolve(self.current)
        earlier = (tree for tree in reversed(self.history) if self.table.resolve(tree) != own)
        tree = self._fitting(earlier, missing)
        return None if tree is None else self._joined([tree, self.current])

    def _multiple(self, wanted: int) -> AxisTree | None:
        """Return the current channels four times (merged patches), or with the positions of a flattened map."""
        have = self.size(self.current)
        if self.current is None or not have or wanted % have or wanted == have:
            return None
        times, own = wanted // have, self.table.resolve(self.current)
        if times == MERGED_PATCHES and self.history and self.entry is self.current:
            return self.table.summed([own] * times)
        return self.table.multiplied([own, *self.grid(times)])

    def grid(self, positions: int) -> list[AxisTree]:
        """Return the two sides of a square map, or its positions in one if it is none."""
        side = round(positions**0.5)
        return [self.table.leaf(s, "grid") for s in ([side, side] if side * side == positions else [positions])]
