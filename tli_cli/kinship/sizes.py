"""How large each space is in a checkpoint, from the shapes of its tensors and the structure of their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from math import prod

from tli_cli.architecture import AxisTree, tree_size
from tli_cli.describe.spaces import factors_of, leaves

Constraint = tuple[AxisTree, int]
"""An axis and the number of its indices."""


def solve(
    constraints: Sequence[Constraint],
    known: Mapping[int, int],
    outer: AbstractSet[int],
    head_width: int = 0,
    places: AbstractSet[int] = frozenset(),
) -> tuple[dict[int, int], set[int]]:
    """Return the size of every leaf that `constraints` decide, and the leaves that had to be guessed.

    What they leave open is as in the known network, whose sizes are `known`: the innermost factor of a product, which
    is the width of heads, or the outermost where one is in `outer`, a number of groups; code cuts maps into as many
    `places` beside channels. Constraints that contradict earlier ones are passed over. A `head_width` that is told is
    no guess.
    """
    sizes: dict[int, int] = {}
    guessed: set[int] = set()
    left = list(dict.fromkeys(constraints))
    while left:
        before = len(left)
        left = [constraint for constraint in left if not _settled(constraint, sizes)]
        if len(left) < before:
            continue
        if not head_width and (alike := _as_known(left, sizes, known)):
            guessed |= alike
            continue
        cut = (_cut(tree, size, sizes, known, places) for tree, size in left)
        else_guessed = (_guess(tree, size, sizes, known, outer, head_width) for tree, size in left)
        guess = next(filter(None, chain(cut, else_guessed)), None)
        if guess is None:
            break
        leaf, sizes[leaf], doubtful = guess
        guessed |= doubtful
    return sizes, guessed


def _as_known(left: Sequence[Constraint], sizes: dict[int, int], known: Mapping[int, int]) -> set[int]:
    """Fill in the leaves of the first constraint that holds with the known network's sizes; return those."""
    for tree, size in left:
        if tree_size(tree, {**known, **sizes}) == size:
            open_ones = {leaf for leaf in leaves(tree) if leaf not in sizes}
            sizes.update({leaf: known[leaf] for leaf in open_ones})
            return open_ones
    return set()


def _settled(constraint: Constraint, sizes: dict[int, int]) -> bool:
    """Fill in the one unknown leaf of a constraint, if there is only one; tell whether none is left."""
    tree, size = constraint
    unknown = {leaf for leaf in leaves(tree) if leaf not in sizes}
    if len(unknown) > 1:
        return False
    for leaf in unknown:
        found = _root(tree, size, leaf, sizes)
        if found is not None:
            sizes[leaf] = found
    return True


def _root(tree: AxisTree, size: int, leaf: int, sizes: Mapping[int, int]) -> int | None:
    """Return the size of `leaf` with which `tree` has `size` indices; None if there is none."""
    low, high = 0, max(size, 1)
    while low <= high:
        middle = (low + high) // 2
        total = tree_size(tree, {**sizes, leaf: middle})
        if total == size:
            return middle
        low, high = (middle + 1, high) if total < size else (low, middle - 1)
    return None


def _cut(
    tree: AxisTree, size: int, sizes: Mapping[int, int], known: Mapping[int, int], places: AbstractSet[int]
) -> tuple[int, int, set[int]] | None:
    """Return, as `_guess` does, a leaf of places that stands in the product `tree` beside channels of unknown size."""
    open_ones = [factor for factor in factors_of(tree) if not _is_known(factor, sizes)]
    placed = [f for f in open_ones if isinstance(f, int) and f in places and size % known[f] == 0]
    return (placed[0], known[placed[0]], {placed[0]}) if 0 < len(placed) < len(open_ones) else None


def _guess(
    tree: AxisTree,
    size: int,
    sizes: Mapping[int, int],
    known: Mapping[int, int],
    outer: AbstractSet[int],
    head_width: int,
) -> tuple[int, int, set[int]] | None:
    """Return an unknown leaf of `tree`, its size, and the unknown leaves of the product in which that is a guess."""
    if isinstance(tree, int):
        return None
    open_ones = [child for child in tree[1:] if not _is_known(child, sizes)]
    settled = [tree_size(child, sizes) for child in tree[1:] if _is_known(child, sizes)]
    if tree[0] == "+":
        rest = (size - sum(settled)) // len(open_ones)
        found = (_guess(child, rest, sizes, known, outer, head_width) for child in open_ones)
        return next(filter(None, found), None)
    left, over = divmod(size, prod(settled) or 1)
    if len(open_ones) < 2 or left < 1 or over:
        return None
    grouped = not outer.isdisjoint(leaves(tree))
    ranked = open_ones if grouped else open_ones[::-1]
    if not grouped and head_width and left % head_width == 0:
        return _leaf_of(ranked[0], head_width, sizes, known, set())
    factor = next((child for child in ranked if left % tree_size(child, known) == 0), ranked[0])
    wanted = next(d for d in range(tree_size(factor, known), 0, -1) if left % d == 0)
    return _leaf_of(factor, wanted, sizes, known, {leaf for leaf in leaves(tree) if leaf not in sizes})


def _leaf_of(
    factor: AxisTree, size: int, sizes: Mapping[int, int], known: Mapping[int, int], doubtful: set[int]
) -> tuple[int, int, set[int]] | None:
    """Return the unknown leaf of a factor with which it has `size` indices, as `_guess` does; of parts, such as those
    of a head of which rotary embeddings turn some channels, the others are as known where these sum to that."""
    leaf = next(leaf for leaf in leaves(factor) if leaf not in sizes)
    alike = tree_size(factor, {**known, **sizes}) == size
    others = {other: known[other] if alike else 0 for other in leaves(factor) if other not in sizes}
    found = _root(factor, size, leaf, {**others, **sizes})
    return None if found is None else (leaf, found, doubtful)


def _is_known(tree: AxisTree, sizes: Mapping[int, int]) -> bool:
    return all(leaf in sizes for leaf in leaves(tree))
