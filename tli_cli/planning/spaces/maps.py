"""The axis maps of a plan: one for each pair of target and source spaces that meet in a transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import leaves
from tli_cli.describe.turned import Way, repeated, turned_channels
from tli_cli.plan import AxisExpression, AxisMap
from tli_cli.planning.listed_rows import ListedRows
from tli_cli.planning.spaces.map_rules import MapRules
from tli_cli.planning.spaces.places import Place, places_of
from tli_cli.planning.spaces.streams import raw_readers
from tli_cli.planning.spaces.traits import norms_before_tied_heads


def _last_factors(architecture: Architecture) -> set[int]:
    """Return the spaces that are the last factor of a product, such as the width of heads."""
    trees = (axis.tree for axes in architecture.axes.values() for axis in axes)
    return {leaf for tree in trees if isinstance(tree, tuple) and tree[0] == "*" for leaf in leaves(tree[-1])}


def _are_sums(first: AxisTree, second: AxisTree) -> bool:
    return isinstance(first, tuple) and isinstance(second, tuple) and first[0] == second[0] == "+"


def rows_ahead(rows: int) -> int:
    """Return how many rows of a table of positions stand before that of the first one: two, as fairseq's models have
    it (`fairseq/modules/learned_positional_embedding.py`), of one that has two more than a power of two.

    >>> [rows_ahead(rows) for rows in (512, 514, 1026, 1024, 77)]
    [0, 2, 2, 0, 0]
    """
    return 2 if rows > 8 and (rows - 2).bit_count() == 1 else 0


def _members(model: int, places: Sequence[Place]) -> tuple[tuple[object, ...], ...]:
    return tuple((model, p.tensor, p.axis, p.start, p.stop, p.outer, p.inner) for p in places)


class MapBook:
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

    def expression(
        self, t_tree: AxisTree, source: Architecture, s_tree: AxisTree, model: int, *, kind: str, use: str = ""
    ) -> AxisExpression:
        """Return the expression that takes the indices of `t_tree` from those of `s_tree`.

        `kind` is the dimension's (`channels`, `kernel`, `patch`, `grid`, `input`); `use` tells norms and queries
        apart, which share the indices of the others but not their scale.
        """
        m, n = self._target.size_of(t_tree), source.size_of(s_tree)
        if kind == "regrouped" or (m == n and self._is_regrouped(t_tree, source, s_tree)):
            return self._add(("regrouped", m, kind), AxisMap("same", m, m, exact=kind == "regrouped"))
        if isinstance(t_tree, tuple) and isinstance(s_tree, tuple) and t_tree[0] == s_tree[0]:
            if len(t_tree) == len(s_tree) and not (t_tree[0] == "+" and m != n and kind in ("grid", "offsets")):
                children = zip(t_tree[1:], s_tree[1:], strict=True)
                kinds = ["channels" if kind == "rotary" and t_tree.count(t) < 2 else kind for t in t_tree[1:]]
                kinds = [self._own_kind(t, k) for t, k in zip(t_tree[1:], kinds, strict=True)]
                return (
                    t_tree[0],
                    *(
                        self.expression(t, source, s, model, kind=k, use=use)
                        for (t, s), k in zip(children, kinds, strict=True)
                    ),
                )
            if t_tree[0] == "+":
                return self._uneven_sum(t_tree, source, s_tree, model, kind, use)
            if kind in ("grid", "offsets"):
                return self._in_time(t_tree, source, s_tree, model, kind)
        sums = [isinstance(tree, tuple) and tree[0] == "+" for tree in (t_tree, s_tree)]
        if m != n and kind in ("grid", "offsets") and sums.count(True) == 1:
            mine, theirs = (list(tree[1:]) if cut else [tree] for cut, tree in zip(sums, (t_tree, s_tree), strict=True))  # type: ignore[index]
            return ("+", *self._positions(mine, source, theirs, model, kind))
        products = [isinstance(tree, tuple) and tree[0] == "*" for tree in (t_tree, s_tree)]
        if m != n and isinstance(t_tree, tuple) and products == [True, False]:
            return self._unfactored(t_tree, source, s_tree, model, kind, use)
        return self._leaf(t_tree, source, s_tree, model, m, n, kind, use)

    def _in_time(
        self, t_tree: tuple[Any, ...], source: Architecture, s_tree: tuple[Any, ...], model: int, kind: str
    ) -> AxisExpression:
        """Pair the innermost factors of places; what stands outside of them, such as frames, is repeated (arXiv
        2103.15691, 2106.13230), or one for all is made of it."""
        mine, theirs = t_tree[1:], s_tree[1:]
        shared = min(len(mine), len(theirs))
        found = zip(mine[-shared:], theirs[-shared:], strict=True)
        return (
            "*",
            *map(self._copies, mine[:-shared]),
            *(self._add((kind, model, s), AxisMap(kind, 1, source.size_of(s), exact=False)) for s in theirs[:-shared]),
            *(self.expression(t, source, s, model, kind=kind) for t, s in found),
        )

    def _own_kind(self, t: AxisTree, kind: str) -> str:
        """Return the kind of a part or a factor of an axis: its own, where places and channels stand side by side."""
        own = self._target.spaces[t].kind if isinstance(t, int) else ""
        return own if {own, kind} == {"grid", "channels"} else kind

    def _is_regrouped(self, t: AxisTree, source: Architecture, s: AxisTree) -> bool:
        """Tell whether two trees of one size hold their indices in another order: products of other factors, as many
        channels in more or fewer groups, or parts that stand behind each other on one side and in turn on the other."""
        if not (isinstance(t, tuple) and isinstance(s, tuple)):
            return False
        if t[0] != s[0]:
            product = t if t[0] == "*" else s
            return any(isinstance(factor, tuple) and factor[0] == "+" for factor in product[2:])
        if t[0] != "*":
            return False
        return [self._target.size_of(child) for child in t[1:]] != [source.size_of(child) for child in s[1:]]

    def _unfactored(
        self, t_tree: tuple[Any, ...], source: Architecture, s: AxisTree, model: int, kind: str, use: str
    ) -> AxisExpression:
        """Pair one factor with channels that the source has once: the one that they feed elsewhere, or the only one of
        channels; along the others they are repeated."""
        inner = t_tree[1:]
        usual = [i for i, child in enumerate(inner) if self._is_channels(child)]
        if len(usual) > 1:
            mine, is_last = _last_factors(self._target), bool(_last_factors(source).intersection(leaves(s)))
            usual = [i for i in usual if is_last == bool(mine.intersection(leaves(inner[i])))]
            usual = [i for i in usual if self._is_without(inner[i], inner)]
        known = [i for i, child in enumerate(inner) if self._first.get((child, model)) == s or _are_sums(child, s)]
        at = known[0] if known else usual[0] if len(usual) == 1 else -1
        if at < 0:
            m, n = self._target.size_of(t_tree), source.size_of(s)
            return self._leaf(t_tree, source, s, model, m, n, kind, use)
        return ("*", *(
            self.expression(child, source, s, model, kind="rotary" if self.is_turned(child, i) else kind, use=use)
            if i == at else self._copies(child)
            for i, child in enumerate(inner)
        ))  # fmt: skip

    def _is_without(self, factor: AxisTree, factors: Sequence[AxisTree]) -> bool:
        """Tell whether `factor` stands somewhere as an axis with all `factors` would without the other ones, as keys do
        that queries share; the groups of two convolutions stand beside other channels in each."""
        own, others = set(leaves(factor)), {leaf for tree in factors if tree != factor for leaf in leaves(tree)}
        axes = [set(leaves(axis.tree)) for axes in self._target.axes.values() for axis in axes]
        whole = [found for found in axes if own | others <= found]
        return any(own <= found and not others & found and any(found < every for every in whole) for found in axes)

    def _is_channels(self, tree: AxisTree) -> bool:
        return all(self._target.spaces[leaf].kind not in ("grid", "kernel", "choices") for leaf in leaves(tree))

    def has_channels(self, tree: AxisTree) -> bool:
        """Tell whether one of the parts end to end that make up `tree` runs over channels."""
        parts = tree[1:] if isinstance(tree, tuple) and tree[0] == "+" else ()
        return any(self._target.spaces[p].kind == "channels" for p in parts if isinstance(p, int))

    def _copies(self, t: AxisTree) -> int:
        size = self._target.size_of(t)
        exact = self._is_channels(t) and self._target.coded.isdisjoint(leaves(t))
        return self._add(("copies", t), AxisMap("widen", size, 1, exact=exact))

    def _uneven_sum(
        self, t_tree: AxisTree, source: Architecture, s_tree: AxisTree, model: int, kind: str, use: str
    ) -> AxisExpression:
        """Pair parts by what feeds them, else in order; target parts without a partner take nothing, source parts
        are dropped."""
        parts: list[AxisExpression] = []
        mine, theirs = list(t_tree[1:]), list(s_tree[1:])  # type: ignore[index]
        if kind in ("grid", "offsets"):
            return ("+", *self._positions(mine, source, theirs, model, kind))
        parted = [*mine]
        while mine:
            count, at = self._next_part(mine, theirs, model)
            t = mine[0] if count == 1 else ("+", *mine[:count])
            mine = mine[count:]
            if at is None:
                parts.append(self._none(t, alone=parted.count(t) == 1))
                continue
            parts.extend(self._drop(source, s, model) for s in theirs[:at])
            parts.append(self.expression(t, source, theirs[at], model, kind=kind, use=use))
            theirs = theirs[at + 1 :]
        parts.extend(self._drop(source, s, model) for s in theirs)
        return ("+", *parts)

    def _next_part(self, mine: list[AxisTree], theirs: list[AxisTree], model: int) -> tuple[int, int | None]:
        """Return how many of the target's parts come next, and the source's part that serves them: of parts that one
        layer makes together, which a sum with others, such as a decoder's, cuts, all."""
        for count in sorted((n for n in self._made_together if n <= len(mine)), reverse=True):
            run = ("+", *mine[:count])
            if run in self._partners and (at := self._find_part(run, theirs, model, 1)) is not None:
                return count, at
        return 1, self._find_part(mine[0], theirs, model, len(mine))

    def _positions(
        self, mine: list[AxisTree], source: Architecture, theirs: list[AxisTree], model: int, kind: str
    ) -> list[AxisExpression]:
        """Pair the map of patches with the other, and the tokens before and behind it in order."""
        at, other = (
            max(range(len(p)), key=lambda i: a.size_of(p[i])) for p, a in ((mine, self._target), (theirs, source))
        )
        parts: list[AxisExpression] = []
        for wanted, offered in ((mine[:at], theirs[:other]), (mine[at : at + 1], theirs[other : other + 1]),
                                (mine[at + 1 :], theirs[other + 1 :])):  # fmt: skip
            pairs = list(zip(wanted, offered, strict=False))
            parts += [self._square(t, source, s) or self.expression(t, source, s, model, kind=kind) for t, s in pairs]
            parts += [self._drop(source, s, model) for s in offered[len(pairs) :]]
            parts += [self._none(t, alone=mine.count(t) == 1) for t in wanted[len(pairs) :]]
        return parts

    def _square(self, t: AxisTree, source: Architecture, s: AxisTree) -> AxisExpression | None:
        """Take places beside tokens that no code cuts into rows as those of square maps; None where they are none."""
        m, n = self._target.size_of(t), source.size_of(s)
        rows, columns = isqrt(m), isqrt(n)
        if not isinstance(t, int) or not isinstance(s, int) or m == n or min(rows, columns) < 2:
            return None
        side = AxisMap("grid", rows, columns, exact=False)
        return ("*", *[self._add(("side", rows, columns), side)] * 2) if (rows**2, columns**2) == (m, n) else None

    def _none(self, t: AxisTree, *, alone: bool = True) -> int:
        """Return the map that takes nothing for a part; one that does not stand `alone` is coupled with those beside
        it."""
        exact = alone and not self._rules.is_weighed(t)
        return self._add(("none", t, exact), AxisMap("none", self._target.size_of(t), 0, exact=exact))

    def _find_part(self, t: AxisTree, theirs: list[AxisTree], model: int, left: int) -> int | None:
        """Return which of the remaining source parts serves target part `t`, with `left` target parts to go."""
        known = self._partners.get(t, ())
        if known:
            return next((i for i, s in enumerate(theirs) if (model, s) in known), None)
        return 0 if theirs and left <= len(theirs) else None

    def _drop(self, source: Architecture, s: AxisTree, model: int) -> int:
        return self._add(("drop", model, s), AxisMap("none", 0, source.size_of(s), exact=False))

    def is_turned(self, tree: AxisTree, place: int, contracted: bool = False) -> bool:
        """Tell whether a rotary embedding turns two parts of `tree`; without a graph, of any factor made but the
        first."""
        parts = set(repeated(tree))
        return (
            bool(({tree} | parts) & self._turned)
            if self._target.graph
            else place > 0 and not contracted and bool(parts)
        )

    def same(self, size: int) -> int:
        """Return the map that leaves every index of an axis where it is."""
        return self._add(("same", size), AxisMap("same", size, size))

    def turned(self, way: Way) -> int:
        """Return the map that takes the channels of a head from one that is turned in the other way."""
        return self._add(("turned", way), AxisMap(way.rule, way.width, way.width))

    def turn_stream(self, t: int, source: Architecture, s: int, model: int, words: str) -> None:
        """Take the channels `t` from directions between the channels `s`, by the rule `directions` and its `words`, of
        which norms tell nothing."""
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

    def changing(self, rule: str, rows: int, columns: int) -> int:
        """Return the map by a rule that asks for no more than sizes and does not keep the function."""
        return self._add((rule, rows, columns), AxisMap(rule, rows, columns, exact=False))

    def introduce(self, t: AxisTree, model: int, s: AxisTree | None) -> None:
        """Note that the channels `t` are made by a layer that source layer makes `s`; None if an added layer makes
        them."""
        self._partners.setdefault(t, []).append((model, s if s is not None else ()))
        if isinstance(t, tuple) and t[0] == "+":
            self._made_together.add(len(t) - 1)

    def is_passed_by(self, t: AxisTree) -> bool:
        """Tell whether the channels `t` are an added layer's, which all that reads them reads beside others, with zero
        weight."""
        partners = self._partners.get(t, ())
        return bool(partners) and all(s == () for _, s in partners) and t not in self._whole

    def is_torn(self, tree: AxisTree) -> bool:
        """Tell whether the channels of `tree`, or a part of them, are fed from source channels that do not belong
        together."""
        return tree in self._torn or (isinstance(tree, tuple) and any(map(self.is_torn, tree[1:])))

    def _leaf(
        self, t: AxisTree, source: Architecture, s: AxisTree, model: int, m: int, n: int, kind: str, use: str
    ) -> int:
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
        if kind == "places" and (ahead := rows_ahead(m) - rows_ahead(n)):
            index = tuple(row - ahead if 0 <= row - ahead < n else -1 for row in range(m))
            return self._add(("rows ahead", m, n), AxisMap("rows", m, n, exact=False, index=index))
        rule = "spread" if spread else self._rules.rule(t, m, n, kind, use)
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
