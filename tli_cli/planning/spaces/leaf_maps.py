"""The maps of a plan: one for each pair of a target's and a source's channels that meet in a transfer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import leaves, terms_of
from tli_cli.describe.turned import Way, repeated, turned_channels
from tli_cli.grouping import gathered
from tli_cli.pieces import AxisMap
from tli_cli.planning.listed_rows import ListedRows
from tli_cli.planning.spaces.bending import raw_readers
from tli_cli.planning.spaces.space_rules import MapRules
from tli_cli.planning.spaces.tied_heads import norms_before_tied_heads


@dataclass(frozen=True, slots=True)
class Place:
    """Where a space lies in a tensor: `axis`, its range `start:stop`, and the sizes outside and inside of the space."""

    tensor: str
    axis: int
    start: int
    stop: int
    outer: int
    inner: int


def places_of(architecture: Architecture) -> Mapping[AxisTree, list[Place]]:
    """Return where each space, and each product of spaces, lies in the tensors of `architecture`."""
    return gathered(
        (tree, Place(spec.name, dim, *where))
        for spec in architecture.tensors
        if not spec.buffer and not spec.tied_to
        for dim, axis in enumerate(architecture.axes.get(spec.name, ()))
        for tree, *where in _walk(architecture, axis.tree, 0)
    )


def _walk(architecture: Architecture, tree: AxisTree, start: int) -> Iterator[tuple[AxisTree, int, int, int, int]]:
    size = architecture.size_of(tree)
    yield tree, start, start + size, 1, 1
    if isinstance(tree, int):
        return
    if tree[0] == "+":
        for child in tree[1:]:
            yield from _walk(architecture, child, start)
            start += architecture.size_of(child)
        return
    sizes = [architecture.size_of(child) for child in tree[1:]]
    outer = 1
    for child, child_size in zip(tree[1:], sizes, strict=True):
        inner = size // (outer * child_size)
        if isinstance(child, int):
            yield child, start, start + size, outer, inner
        outer *= child_size


def rows_more_ahead(m: int, n: int) -> int:
    """Return by how many rows more of `m` positions stand before that of the first one than of `n`: two, as fairseq's
    `learned_positional_embedding.py` has it, of two more than a power of two beside a power of two; else nothing tells.

    >>> [rows_more_ahead(*sizes) for sizes in ((514, 1024), (1024, 514), (1026, 514), (1538, 1026), (514, 77))]
    [2, -2, 0, 0, 0]
    """
    two_more, none = ([size > 8 and (size - more).bit_count() == 1 for size in (m, n)] for more in (2, 0))
    return 2 * (two_more[0] and none[1]) - 2 * (two_more[1] and none[0])


def _members(model: int, places: Sequence[Place]) -> tuple[tuple[object, ...], ...]:
    return tuple((model, p.tensor, p.axis, p.start, p.stop, p.outer, p.inner) for p in places)


@dataclass(frozen=True, slots=True)
class Taken:
    """What an axis is taken from, the `source` number `model`, and as what: the `kind` of the dimension (`channels`,
    `kernel`, `patch`, `grid`, `input`); `use` tells norms and queries apart, which share the indices of the others but
    not their scale."""

    source: Architecture
    model: int
    kind: str
    use: str = ""


class LeafMaps:
    """The maps of one plan as they are asked for; equal pairs of spaces share one map.

    `added` is set while an added block is mapped: what feeds it proves nothing of what belongs together. `made_up` are
    the spaces of which some layer makes up for copies, where products are summed over them.
    """

    def __init__(
        self,
        target: Architecture,
        widen: str = "widen",
        narrow: str = "strongest",
        rows: ListedRows | None = None,
    ) -> None:
        self._target = target
        self.rows = rows or ListedRows(target, {})
        self._rules = MapRules(target, widen, narrow)
        self._turned = turned_channels(target)
        self._whole = {axis.tree for axes in target.axes.values() for axis in axes if axis.contracted}
        norms = [layer.tensor("weight") or "" for layer in target.layers if (layer.averages or 0) > 1]
        self._grouped = {axis.tree for name in norms for axis in target.axes.get(name, ())}
        self.before_tied_head, self.raw_readers = norms_before_tied_heads(target), raw_readers(target)
        self._partners: dict[AxisTree, list[tuple[int, AxisTree]]] = {}
        self._made_together = set[int]()
        self._stands: dict[int, Mapping[AxisTree, list[Place]]] = {}
        self._columns: dict[tuple[AxisTree, int], int] = {}
        self._first: dict[tuple[AxisTree, int], AxisTree] = {}
        self._torn: set[AxisTree] = set()
        self._free: dict[AxisTree, int] = {}
        self.added = False
        self.made_up: set[int] = set()
        self._index: dict[tuple[object, ...], int] = {}
        self.maps: list[AxisMap] = []

    def same(self, size: int) -> int:
        """Return the map that leaves every index of an axis where it is."""
        return self._add(("same", size), AxisMap("same", size, size))

    def turned(self, way: Way) -> int:
        """Return the map that takes the channels of a head from one that is turned in the other way."""
        return self._add(("turned", way), AxisMap(way.rule, way.width, way.width))

    def changing(self, rule: str, rows: int, columns: int) -> int:
        """Return the map by a rule that asks for no more than sizes and does not keep the function."""
        return self._add((rule, rows, columns), AxisMap(rule, rows, columns, exact=False))

    def turn_stream(self, t: int, source: Architecture, s: int, model: int, words: str) -> None:
        """Take the channels `t` from directions between the channels `s`, of which norms tell nothing."""
        places = [p for p in self._places(model, source, s) if source.layer_of[p.tensor].kind != "norm"]
        members = _members(model, places)
        sizes = self._target.size_of(t), source.size_of(s)
        self._free[t] = self._add(
            ("directions", t, s, model), AxisMap(f"directions {words}".strip(), *sizes, False, None, members, str(t))
        )

    def adopt(self, maps: Sequence[AxisMap]) -> None:
        """Go on with the maps of a plan, and take the streams that it takes from directions by the same maps."""
        self.maps = list(maps)
        self._free = {int(m.label): i for i, m in enumerate(maps) if m.rule.partition(" ")[0] == "directions"}

    def introduce(self, t: AxisTree, model: int, s: AxisTree | None) -> None:
        """Note that a layer makes the channels `t` whose partner in the source makes `s`; None for an added layer."""
        self._partners.setdefault(t, []).append((model, s if s is not None else ()))
        if isinstance(t, tuple) and t[0] == "+":
            self._made_together.add(len(t) - 1)

    def is_passed_by(self, t: AxisTree) -> bool:
        """Tell whether the channels `t` are an added layer's that all readers read beside others, with zero weight."""
        partners = self._partners.get(t, ())
        return bool(partners) and all(s == () for _, s in partners) and t not in self._whole

    def is_torn(self, tree: AxisTree) -> bool:
        """Tell whether channels of `tree` are fed from source channels that do not belong together."""
        return tree in self._torn or (isinstance(tree, tuple) and any(map(self.is_torn, tree[1:])))

    def is_turned(self, tree: AxisTree, place: int, contracted: bool = False) -> bool:
        """Tell whether a rotary embedding turns parts of `tree`; without a graph, of any made factor but the first."""
        parts = set(repeated(tree))
        return (
            bool(({tree} | parts) & self._turned)
            if self._target.graph
            else place > 0 and not contracted and bool(parts)
        )

    def has_channels(self, tree: AxisTree) -> bool:
        """Tell whether one of the parts end to end that make up `tree` runs over channels."""
        found = terms_of(tree)
        return len(found) > 1 and any(isinstance(p, int) and self._target.spaces[p].kind == "channels" for p in found)

    def _is_channels(self, tree: AxisTree) -> bool:
        return all(self._target.spaces[leaf].kind not in ("grid", "kernel", "choices") for leaf in leaves(tree))

    def _copies(self, t: AxisTree) -> int:
        size = self._target.size_of(t)
        exact = self._is_channels(t) and self._target.coded.isdisjoint(leaves(t))
        return self._add(("copies", t), AxisMap("widen", size, 1, exact=exact))

    def _none(self, t: AxisTree, *, alone: bool = True) -> int:
        """Return the map that takes nothing for a part; one that does not stand `alone` is coupled with those beside
        it, and one that no layer makes or sums over is a place that others see."""
        read = t in self._partners or self._rules.summed.issuperset(leaves(t))
        exact = alone and read and self._target.coded.isdisjoint(leaves(t))
        return self._add(("none", t, exact), AxisMap("none", self._target.size_of(t), 0, exact=exact))

    def _drop(self, s: AxisTree, taken: Taken) -> int:
        return self._add(("drop", taken.model, s), AxisMap("none", 0, taken.source.size_of(s), exact=False))

    def _leaf(self, t: AxisTree, s: AxisTree, taken: Taken) -> int:
        source, model, kind = taken.source, taken.model, taken.kind
        m, n = self._target.size_of(t), source.size_of(s)
        listed = self.rows.of(kind, m, source, n, model)
        if listed is not None:
            return self.same(m) if listed.rule == "same" else self._add(("listed", m, n, model, listed.rule), listed)
        spread = self._rules.is_shared_less(t, source, s, model)
        if not self.added and not spread and self._columns.setdefault((t, model), n) != n:
            self._torn.add(t)
        self._first.setdefault((t, model), s)
        if m == n:
            return self.same(m)
        if t in self._free and self.maps[self._free[t]].columns == n:
            return self._free[t]
        if kind == "places" and (ahead := rows_more_ahead(m, n)):
            index = tuple(row - ahead if 0 <= row - ahead < n else -1 for row in range(m))
            return self._add(("rows ahead", m, n), AxisMap("rows", m, n, exact=False, index=index))
        rule = "spread" if spread else self._rules.rule(t, m, n, kind, taken.use)
        key = (rule, t, s, model, kind == "rotary")
        if key in self._index:
            return self._index[key]
        members: tuple[tuple[object, ...], ...] = ()
        if rule == self._rules.narrow and rule == "strongest":
            members = _members(model, self._places(model, source, s))
        exact = self._rules.keeps(rule, t, m, n, self.made_up) and source.guessed.isdisjoint(leaves(s))
        return self._add(key, AxisMap(rule, m, n, exact=exact, members=members, label=self._label(t)))

    def _places(self, model: int, source: Architecture, tree: AxisTree) -> Sequence[Place]:
        """Return where the channels `tree` stand in a source, all of whose are looked up once."""
        if model not in self._stands:
            self._stands[model] = places_of(source)
        return self._stands[model].get(tree, ())

    def _label(self, tree: AxisTree) -> str:
        return str(tree) if isinstance(tree, int) else "x".join(map(str, tree[1:]))

    def _add(self, key: tuple[object, ...], value: AxisMap) -> int:
        if key not in self._index:
            self._index[key] = len(self.maps)
            self.maps.append(value)
        return self._index[key]
