"""Which axes carry the same channels: a union-find over axis trees.

A leaf is a space of some size. Tracing unites leaves (a residual sum, a norm's weight), splits them as products (a
view to heads and head width) and as sums (a fused projection cut in parts, a concatenation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from tli_cli.architecture import AxisTree, tree_size

KIND_RANK = ("channels", "head_width", "heads", "choices", "kernel", "vocabulary", "classes", "grid", "batch", "input")


class SpaceTable:
    """Leaves, and what became of them: united with another leaf, or split into a tree; those that were `cut` into
    factors, and the channels `twisted` that meet themselves in another order."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._kinds: list[str] = []
        self._made: list[tuple[int, ...]] = []
        self._became: dict[int, AxisTree] = {}
        self.cut: list[int] = []
        self.twisted: list[AxisTree] = []

    def leaf(self, size: int, kind: str = "channels") -> int:
        """Return a new leaf of `size` indices."""
        self._sizes.append(size)
        self._kinds.append(kind)
        self._made.append((len(self._made),))
        return len(self._sizes) - 1

    def made(self, leaf: int) -> tuple[int, ...]:
        """Return what sorts leaves as they were made: rows before columns, factors of one as they lie in it."""
        return self._made[leaf]

    def kind(self, leaf: int) -> str:
        """Return the kind of a leaf."""
        return self._kinds[leaf]

    def leaves(self, *trees: AxisTree) -> list[int]:
        """Return what `trees` run over now, in order, repeated leaves repeated."""
        return [leaf for tree in trees for leaf in leaves(self.resolve(tree))]

    def kinds(self, *trees: AxisTree) -> set[str]:
        """Return the kinds of what `trees` run over."""
        return {self._kinds[leaf] for leaf in self.leaves(*trees)}

    def mark(self, tree: AxisTree, kind: str) -> None:
        """Raise every leaf of `tree` to `kind` unless it has a stronger one."""
        for leaf in self.leaves(tree):
            if KIND_RANK.index(kind) > KIND_RANK.index(self._kinds[leaf]):
                self._kinds[leaf] = kind

    def mark_choices(self, tree: AxisTree) -> None:
        """Take those leaves of `tree` that are plain channels for choices."""
        for leaf in self.leaves(tree):
            if self._kinds[leaf] == "channels":
                self._kinds[leaf] = "choices"

    def size(self, tree: AxisTree) -> int:
        """Return the number of indices of `tree`."""
        return tree_size(tree, self._sizes)

    def start_of(self, piece: AxisTree, whole: AxisTree) -> int:
        """Return where the resolved `piece` lies in the resolved sum `whole`, in indices; -1 if it is not found."""
        inner, outer = (list(t[1:]) if isinstance(t, tuple) and t[0] == "+" else [t] for t in (piece, whole))
        for at in range(len(outer) - len(inner) + 1):
            if outer[at : at + len(inner)] == inner:
                return sum(map(self.size, outer[:at]))
        return -1

    def resolve(self, tree: AxisTree) -> AxisTree:
        """Return `tree` in normal form: current leaves, nested sums and products flattened."""
        if isinstance(tree, int):
            if tree not in self._became:
                return tree
            self._became[tree] = self.resolve(self._became[tree])
            return self._became[tree]
        children = [self.resolve(child) for child in tree[1:]]
        return self.summed(children) if tree[0] == "+" else self.multiplied(children)

    def multiplied(self, children: Sequence[AxisTree]) -> AxisTree:
        """Return the product of resolved trees, outermost first, without units but the one channel of a grey image."""
        flat: list[AxisTree] = []
        for child in children:
            flat.extend(child[1:] if isinstance(child, tuple) and child[0] == "*" else [child])
        kept = [child for child in flat if self.size(child) != 1 or self._is_input(child)]
        if not kept:
            return flat[0] if flat else self.leaf(1)
        if len(kept) == 1:
            return kept[0]
        first = kept[0]
        if isinstance(first, tuple) and first[0] == "+":
            return self.summed([self.multiplied([part, *kept[1:]]) for part in first[1:]])
        return ("*", *kept)

    def _is_input(self, tree: AxisTree) -> bool:
        return isinstance(tree, int) and self._kinds[tree] == "input"

    def summed(self, children: Sequence[AxisTree]) -> AxisTree:
        """Return the resolved trees laid end to end."""
        flat: list[AxisTree] = []
        for child in children:
            flat.extend(child[1:] if isinstance(child, tuple) and child[0] == "+" else [child])
        kept = [child for child in flat if self.size(child) != 0]
        return kept[0] if len(kept) == 1 else ("+", *kept)

    def unite(self, first: AxisTree, second: AxisTree) -> bool:
        """Couple two axes of equal size; return False, changing nothing more, where their structures clash."""
        a, b = self.resolve(first), self.resolve(second)
        if a == b:
            return True
        if self.size(a) != self.size(b):
            return False
        if isinstance(a, int):
            return self._define(a, b)
        if isinstance(b, int):
            return self._define(b, a)
        if a[0] == b[0] == "*":
            return self._unite_products(a, b)
        if a[0] == b[0]:
            return self._unite_alike(a, b)
        return self._unite_parts(a, b) if a[0] == "+" else self._unite_parts(b, a)

    def _define(self, leaf: int, tree: AxisTree) -> bool:
        if leaf in leaves(tree):
            return False
        if isinstance(tree, int):
            kind = max(self._kinds[leaf], self._kinds[tree], key=KIND_RANK.index)
            self._made[tree] = min(self._made[i] for i in (leaf, tree) if self._kinds[i] == kind)
            self._kinds[tree] = kind
        elif self._kinds[leaf] in ("grid", "input", "classes", "batch"):
            self.mark(tree, self._kinds[leaf])
        self._became[leaf] = tree
        return True

    def _unite_products(self, a: tuple[object, ...], b: tuple[object, ...]) -> bool:
        """Couple two products; channels that meet themselves in another order, or cut elsewhere, are twisted."""
        done = self._unite_alike(a, b)
        found = self.leaves(a)
        if not done or (len(set(found)) < len(found) and all(len(set(t)) == len(t) for t in (a, b))):
            self.twisted += [leaf for leaf in self.leaves(a, b) if self._kinds[leaf] == "channels"]
        return done

    def _unite_alike(self, a: tuple[object, ...], b: tuple[object, ...]) -> bool:
        """Walk two sums or two products from their start, splitting the longer head to the shorter."""
        split = self.split_sum if a[0] == "+" else self.split_product
        left, right = list(a[1:]), list(b[1:])
        complete = True
        while left and right:
            x, y = self.resolve(left.pop(0)), self.resolve(right.pop(0))  # type: ignore[arg-type]
            m, n = self.size(x), self.size(y)
            if m == n:
                complete = self.unite(x, y) and complete
                continue
            rest = abs(m - n) if a[0] == "+" else max(m, n) // min(m, n)
            if a[0] == "*" and max(m, n) % min(m, n):
                return False
            pieces = split(x if m > n else y, [min(m, n), rest])
            if pieces is None:
                return False
            complete = self.unite(pieces[0], y if m > n else x) and complete
            (left if m > n else right).insert(0, pieces[1])
        return complete

    def _unite_parts(self, total: tuple[object, ...], product: tuple[object, ...]) -> bool:
        count = self.size(product[1])  # type: ignore[arg-type]
        width = self.size(total) // count
        parts = self.split_sum(total, [width] * count) if count <= 16 else None
        if parts is None:
            return False
        if isinstance(product[1], int):
            self._became[product[1]] = ("+", *(self.leaf(1) for _ in range(count)))
        inner = self.multiplied([self.resolve(child) for child in product[2:]])  # type: ignore[arg-type]
        return all([self.unite(part, inner) for part in parts])

    def split_product(self, tree: AxisTree, sizes: Sequence[int]) -> list[AxisTree] | None:
        """Return trees of `sizes` whose product is `tree`, refining it; None where it cannot be cut so."""
        tree = self.resolve(tree)
        if len(sizes) == 1:
            return [tree]
        if isinstance(tree, int):
            kind = self._kinds[tree]
            fresh = [self.leaf(size, kind) for size in sizes]
            for i, factor in enumerate(fresh):
                self._made[factor] = (*self._made[tree], i)
            self._became[tree] = self.multiplied(fresh)
            self.cut.append(tree)
            return list(fresh)
        if tree[0] == "+":
            return self._split_equal_parts(tree, sizes)
        return self._split_factors(list(tree[1:]), list(sizes))

    def _split_equal_parts(self, tree: AxisTree, sizes: Sequence[int]) -> list[AxisTree] | None:
        count = sizes[0]
        if count == 1:
            rest = self.split_product(tree, sizes[1:])
            return None if rest is None else [self.leaf(1), *rest]
        if count > 16:
            return None
        parts = self.split_sum(tree, [prod(sizes[1:])] * count)
        if parts is None or not all([self.unite(parts[0], part) for part in parts[1:]]):
            return None
        inner = self.split_product(parts[0], sizes[1:])
        return None if inner is None else [("+", *(self.leaf(1) for _ in range(count))), *inner]

    def _split_factors(self, factors: list[AxisTree], sizes: list[int]) -> list[AxisTree] | None:
        result: list[AxisTree] = []
        for wanted in sizes:
            group: list[AxisTree] = []
            while (have := prod(self.size(f) for f in group)) < wanted:
                if not factors:
                    return None
                missing = wanted // have
                head = self.resolve(factors.pop(0))
                size = self.size(head)
                if wanted % have or (size > missing and size % missing) or (size <= missing and missing % size):
                    return None
                if size > missing:
                    pieces = self.split_product(head, [missing, size // missing])
                    if pieces is None:
                        return None
                    head = pieces[0]
                    factors.insert(0, pieces[1])
                group.append(head)
            result.append(self.multiplied(group) if group else self.leaf(1))
        return result

    def split_sum(self, tree: AxisTree, sizes: Sequence[int]) -> list[AxisTree] | None:
        """Return trees of `sizes` that lie end to end in `tree`, refining it; None where it cannot be cut so."""
        tree = self.resolve(tree)
        if len([s for s in sizes if s]) == 1:
            return [tree if size else self.leaf(0) for size in sizes]
        if isinstance(tree, int):
            kind = self._kinds[tree]
            fresh = [self.leaf(size, kind) for size in sizes]
            self._became[tree] = ("+", *fresh)
            return list(fresh)
        if tree[0] == "*":
            inner = self.multiplied(list(tree[2:]))
            width = self.size(inner)
            if any(size % width for size in sizes):
                return None
            outer = self.split_sum(tree[1], [size // width for size in sizes])
            return None if outer is None else [self.multiplied([self.resolve(o), inner]) for o in outer]
        return self._split_parts(list(tree[1:]), sizes)

    def _split_parts(self, parts: list[AxisTree], sizes: Sequence[int]) -> list[AxisTree] | None:
        result: list[AxisTree] = []
        for wanted in sizes:
            group: list[AxisTree] = []
            missing = wanted
            while missing > 0:
                if not parts:
                    return None
                head = self.resolve(parts.pop(0))
                size = self.size(head)
                if size > missing:
                    pieces = self.split_sum(head, [missing, size - missing])
                    if pieces is None:
                        return None
                    head, size = pieces[0], missing
                    parts.insert(0, pieces[1])
                group.append(head)
                missing -= size
            result.append(self.summed(group) if group else self.leaf(0))
        return result


def terms_of(tree: AxisTree) -> tuple[AxisTree, ...]:
    """Return the parts end to end that an axis has; itself if it has none."""
    return tree[1:] if isinstance(tree, tuple) and tree[0] == "+" else (tree,)


def factors_of(tree: AxisTree) -> tuple[AxisTree, ...]:
    """Return the factors of a product, the outermost first; itself if it is none."""
    return tree[1:] if isinstance(tree, tuple) and tree[0] == "*" else (tree,)


def leaves(tree: AxisTree) -> list[int]:
    """Return the leaves of `tree`, spaces or maps, in order, repeated ones repeated."""
    if isinstance(tree, int):
        return [tree]
    return [leaf for child in tree[1:] for leaf in leaves(child)]


def with_leaves(tree: AxisTree, of: Callable[[int], AxisTree]) -> AxisTree:
    """Return `tree` with what `of` gives in the place of each leaf.

    >>> with_leaves(("*", 0, ("+", 1, 2)), lambda leaf: leaf + 5)
    ('*', 5, ('+', 6, 7))
    """
    return of(tree) if isinstance(tree, int) else (tree[0], *(with_leaves(part, of) for part in tree[1:]))
