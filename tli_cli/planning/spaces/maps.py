"""The maps of axes that run over several channels: parts end to end, and factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import isqrt
from typing import Any

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import factors_of, leaves, terms_of
from tli_cli.pieces import AxisExpression, AxisMap
from tli_cli.planning.spaces.leaf_maps import LeafMaps, Taken


def _last_factors(architecture: Architecture) -> set[int]:
    """Return the spaces that are the last factor of a product, such as the width of heads."""
    found = (factors_of(axis.tree) for axes in architecture.axes.values() for axis in axes)
    return {leaf for product in found if len(product) > 1 for leaf in leaves(product[-1])}


def _is_sum(tree: AxisTree) -> bool:
    """Tell whether an axis is made of parts end to end."""
    return isinstance(tree, tuple) and tree[0] == "+"


def _dotted(tree: AxisTree, architecture: Architecture) -> str:
    """Return over how much of an axis products of two values are summed: `all`, `a factor` or nothing of it."""
    wide = {leaf for leaf in leaves(tree) if architecture.size_of(leaf) > 1}
    summed = wide & architecture.dotted
    return ("all" if summed == wide else "a factor") if summed else ""


def _place_of_map(architecture: Architecture, parts: Sequence[AxisTree]) -> int:
    """Return which of the parts end to end of an axis of places is the map: the largest of those that code runs over,
    or of all where none tells."""

    def rank(place: int) -> tuple[bool, int]:
        kinds = {architecture.spaces[leaf].kind for leaf in leaves(parts[place])}
        return "grid" in kinds, architecture.size_of(parts[place])

    return max(range(len(parts)), key=rank)


class MapBook(LeafMaps):
    """The maps of one plan as they are asked for, those of axes in terms of those of their parts and factors."""

    def expression(self, t_tree: AxisTree, s_tree: AxisTree, taken: Taken) -> AxisExpression:
        """Return the expression that takes the indices of `t_tree` from those of `s_tree`."""
        m, n, kind = self._target.size_of(t_tree), taken.source.size_of(s_tree), taken.kind
        if kind == "regrouped" or (m == n and self._is_regrouped(t_tree, taken.source, s_tree)):
            return self._add(("regrouped", m, kind), AxisMap("same", m, m, exact=kind == "regrouped"))
        places = kind in ("grid", "offsets")
        if isinstance(t_tree, tuple) and isinstance(s_tree, tuple) and t_tree[0] == s_tree[0]:
            if places and len(t_tree) != len(s_tree) and self._is_cut_finer(t_tree, taken.source, s_tree):
                return self._add(("places", m), AxisMap("same", m, m))
            if len(t_tree) == len(s_tree) and not (t_tree[0] == "+" and m != n and places):
                return self._child_by_child(t_tree, s_tree, taken)
            if t_tree[0] == "+":
                return self._uneven_sum(t_tree, s_tree, taken)
            if places:
                return self._in_time(t_tree, s_tree, taken)
        elif m != n and places and (_is_sum(t_tree) or _is_sum(s_tree)):
            return ("+", *self._positions(list(terms_of(t_tree)), list(terms_of(s_tree)), taken))
        elif m != n and isinstance(t_tree, tuple) and t_tree[0] == "*":
            return self._unfactored(t_tree, s_tree, taken)
        return self._leaf(t_tree, s_tree, taken)

    def width_met(self, t: AxisTree) -> int:
        """Return the size of the one factor of `t` over which products are summed; of all of it, if there is none."""
        met = [child for child in factors_of(t) if _dotted(child, self._target)]
        return self._target.size_of(met[0] if len(met) == 1 else t)

    def _child_by_child(self, t_tree: tuple[Any, ...], s_tree: tuple[Any, ...], taken: Taken) -> AxisExpression:
        """Pair parts, or factors, that are as many on both sides, in order."""
        children: list[AxisExpression] = []
        for t, s in zip(t_tree[1:], s_tree[1:], strict=True):
            own = self._own_kind(t, "channels" if taken.kind == "rotary" and t_tree.count(t) < 2 else taken.kind)
            children.append(self.expression(t, s, replace(taken, kind=own)))
        return (t_tree[0], *children)

    def _in_time(self, t_tree: tuple[Any, ...], s_tree: tuple[Any, ...], taken: Taken) -> AxisExpression:
        """Pair the innermost factors of places; what stands outside of them, such as frames, is repeated (arXiv
        2103.15691, 2106.13230), or one for all is made of it."""
        mine, theirs, kind, model = t_tree[1:], s_tree[1:], taken.kind, taken.model
        shared = min(len(mine), len(theirs))
        found = zip(mine[-shared:], theirs[-shared:], strict=True)
        return (
            "*",
            *map(self._copies, mine[:-shared]),
            *(
                self._add((kind, model, s), AxisMap(kind, 1, taken.source.size_of(s), exact=False))
                for s in theirs[:-shared]
            ),
            *(self.expression(t, s, replace(taken, use="")) for t, s in found),
        )

    def _own_kind(self, t: AxisTree, kind: str) -> str:
        """Return the kind of a part or a factor of an axis: its own, where places or inputs stand beside channels."""
        own = self._target.spaces[t].kind if isinstance(t, int) else ""
        return own if {own, kind} in ({"grid", "channels"}, {"input", "channels"}) else kind

    def _is_regrouped(self, t: AxisTree, source: Architecture, s: AxisTree) -> bool:
        """Tell whether two trees of one size hold their indices in another order: products of other factors, as many
        channels in more or fewer groups, or parts that stand behind each other on one side and in turn on the other; or
        whether products of two values are summed over all of one of them and over a factor of the other."""
        if not (isinstance(t, tuple) and isinstance(s, tuple)):
            return {_dotted(t, self._target), _dotted(s, source)} == {"all", "a factor"}
        if t[0] != s[0]:
            product = t if t[0] == "*" else s
            return any(map(_is_sum, product[2:]))
        if t[0] != "*":
            return False
        return [self._target.size_of(child) for child in t[1:]] != [source.size_of(child) for child in s[1:]]

    def _is_cut_finer(self, t: AxisTree, source: Architecture, s: AxisTree) -> bool:
        """Tell whether one of two axes is cut, part by part, wherever the other one is, and ends where that does."""
        mine, theirs = (
            {*accumulate(map(side.size_of, terms_of(tree)))} for side, tree in ((self._target, t), (source, s))
        )
        return max(mine) == max(theirs) and (mine <= theirs or theirs <= mine)

    def _unfactored(self, t_tree: tuple[Any, ...], s: AxisTree, taken: Taken) -> AxisExpression:
        """Pair one factor with channels that the source has once: the one that they feed elsewhere, or the only one of
        channels; along the others they are repeated."""
        inner, source = t_tree[1:], taken.source
        usual = [i for i, child in enumerate(inner) if self._is_channels(child)]
        if _dotted(s, source) == "all":  # the width of the only head
            usual = [i for i in usual if _dotted(inner[i], self._target)] or usual
        grouped = t_tree in self._grouped
        of_one = grouped and self._target.size_of(inner[0]) == source.size_of(s)
        if len(usual) > 1:
            mine, is_last = _last_factors(self._target), bool(_last_factors(source).intersection(leaves(s)))
            usual = [i for i in usual if is_last == bool(mine.intersection(leaves(inner[i])))]
            usual = [i for i in usual if self._is_without(inner[i], inner)]
        known = [
            i
            for i, child in enumerate(inner)
            if self._first.get((child, taken.model)) == s or (_is_sum(child) and _is_sum(s))
        ]
        at = known[0] if known else usual[0] if len(usual) == 1 else 0 if of_one else -1
        if at < 0:
            whole = self._leaf(t_tree, s, taken)
            uneven = grouped and self._target.size_of(t_tree) != source.size_of(s)
            return self._add(("whole", whole), replace(self.maps[whole], exact=False)) if uneven else whole
        return ("*", *(
            self.expression(child, s, replace(taken, kind="rotary" if self.is_turned(child, i) else taken.kind))
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

    def _uneven_sum(self, t_tree: AxisTree, s_tree: AxisTree, taken: Taken) -> AxisExpression:
        """Pair parts by what feeds them, else in order; target parts that are left take nothing, others are dropped."""
        found: list[AxisExpression] = []
        mine, theirs = list(t_tree[1:]), list(s_tree[1:])  # type: ignore[index]
        if taken.kind in ("grid", "offsets"):
            return ("+", *self._positions(mine, theirs, taken))
        parted = [*mine]
        while mine:
            count, at = self._next_part(mine, theirs, taken.model)
            t = mine[0] if count == 1 else ("+", *mine[:count])
            mine = mine[count:]
            if at is None:
                found.append(self._none(t, alone=parted.count(t) == 1))
                continue
            found.extend(self._drop(s, taken) for s in theirs[:at])
            found.append(self.expression(t, theirs[at], replace(taken, kind=self._own_kind(t, taken.kind))))
            theirs = theirs[at + 1 :]
        found.extend(self._drop(s, taken) for s in theirs)
        return ("+", *found)

    def _next_part(self, mine: list[AxisTree], theirs: list[AxisTree], model: int) -> tuple[int, int | None]:
        """Return how many of the target's parts come next, and the source's part that serves them: of parts that one
        layer makes together, which a sum with others, such as a decoder's, cuts, all."""
        for count in sorted((n for n in self._made_together if n <= len(mine)), reverse=True):
            run = ("+", *mine[:count])
            if run in self._partners and (at := self._find_part(run, (), theirs, model)) is not None:
                return count, at
        return 1, self._find_part(mine[0], mine[1:], theirs, model)

    def _positions(self, mine: list[AxisTree], theirs: list[AxisTree], taken: Taken) -> list[AxisExpression]:
        """Pair the map of patches with the other, and the tokens before it and behind it, or the rows of a table that
        are not looked up, in order."""
        at, other = _place_of_map(self._target, mine), _place_of_map(taken.source, theirs)
        plain, rows = replace(taken, use=""), replace(taken, use="", kind="places")
        found: list[AxisExpression] = []
        for wanted, offered in ((mine[:at], theirs[:other]), (mine[at : at + 1], theirs[other : other + 1]),
                                (mine[at + 1 :], theirs[other + 1 :])):  # fmt: skip
            pairs = list(zip(wanted, offered, strict=False))
            if wanted == [mine[at]]:
                found += [self._square(t, taken.source, s) or self.expression(t, s, plain) for t, s in pairs]
            else:
                found += [self.expression(t, s, rows) for t, s in pairs]
            found += [self._drop(s, taken) for s in offered[len(pairs) :]]
            found += [self._none(t, alone=mine.count(t) == 1) for t in wanted[len(pairs) :]]
        return found

    def _square(self, t: AxisTree, source: Architecture, s: AxisTree) -> AxisExpression | None:
        """Take places beside tokens that no code cuts into rows as those of square maps; None where they are none."""
        m, n = self._target.size_of(t), source.size_of(s)
        rows, columns = isqrt(m), isqrt(n)
        if not isinstance(t, int) or not isinstance(s, int) or m == n or min(rows, columns) < 2:
            return None
        side = AxisMap("grid", rows, columns, exact=False)
        return ("*", *[self._add(("side", rows, columns), side)] * 2) if (rows**2, columns**2) == (m, n) else None

    def _find_part(self, t: AxisTree, behind: Sequence[AxisTree], theirs: Sequence[AxisTree], model: int) -> int | None:
        """Return which of the remaining source parts serves target part `t`: the one that feeds it elsewhere, or the
        next one where that feeds none of those `behind` it."""
        if known := self._partners.get(t, ()):
            return next((i for i, s in enumerate(theirs) if (model, s) in known), None)
        claimed = {s for part in behind for _, s in self._partners.get(part, ())}
        return 0 if theirs and theirs[0] not in claimed else None
