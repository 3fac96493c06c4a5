"""The parts of a fused axis: query, key and value of one projection, gate and up."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import factors_of

PART_ROLES = {"qkv": ("q", "k", "v"), "kv": ("k", "v"), "gate_up": ("gate", "up"), "up_gate": ("up", "gate")}


def part_roles(role: str) -> tuple[str, ...]:
    """Return the roles of the parts of a fused layer called `role`; none if it is not fused."""
    cross = "cross_" if role.startswith("cross_") else ""
    return tuple(cross + part for part in PART_ROLES.get(role.removeprefix("cross_"), ()))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a fused axis: its tree, and `start:stop` of the middle of the axis seen as three factors."""

    tree: AxisTree
    start: int
    stop: int
    outer: int = 1
    inner: int = 1


def parts_of(architecture: Architecture, tree: AxisTree, count: int = 0, sizes: tuple[int, ...] = ()) -> list[Part]:
    """Return the parts of an axis that lie end to end, or that alternate within each head; none if it has no parts.

    `count` is in how many parts it is known to be cut, which may have parts themselves; `sizes` are theirs in
    proportion, if they are not all equal.
    """
    if not isinstance(tree, tuple):
        return []
    if tree[0] == "+":
        return _laid_out(architecture, _grouped(architecture, list(tree[1:]), count, sizes), (), ())
    at = next((i for i, child in enumerate(tree[1:]) if isinstance(child, tuple) and child[0] == "+"), None)
    if at is None:
        return []
    middle = list(tree[1:][at][1:])
    if len(middle) == 2 and middle[0] == middle[1] and architecture.size_of(middle[0]) > 1:
        return []  # the two halves of a rotary embedding, of one head's channels
    return _laid_out(architecture, _grouped(architecture, middle, count, sizes), tree[1 : at + 1], tree[at + 2 :])


def _grouped(
    architecture: Architecture, children: list[AxisTree], count: int, wanted: tuple[int, ...]
) -> list[AxisTree]:
    """Return `children` put together to `count` parts of the sizes `wanted`, or of one size; as they are else."""
    sizes = [architecture.size_of(child) for child in children]
    if count < 2 or len(children) <= count or (sum(sizes) % count and not wanted):
        return children
    shares = wanted if len(wanted) == count else (1,) * count
    widths = [share * sum(sizes) // sum(shares) for share in shares]
    groups: list[list[AxisTree]] = [[]]
    filled = 0
    for child, size in zip(children, sizes, strict=True):
        if filled == widths[len(groups) - 1]:
            groups.append([])
            filled = 0
        groups[-1].append(child)
        filled += size
        if len(groups) > count or filled > widths[len(groups) - 1]:
            return children
    return [group[0] if len(group) == 1 else ("+", *group) for group in groups]


def _laid_out(
    architecture: Architecture, middle: list[AxisTree], before: tuple[AxisTree, ...], behind: tuple[AxisTree, ...]
) -> list[Part]:
    outer, inner = (prod(architecture.size_of(t) for t in trees) for trees in (before, behind))
    found, start = [], 0
    for child in middle:
        stop = start + architecture.size_of(child)
        around = (*before, *(t for t in factors_of(child) if architecture.size_of(t) != 1), *behind)
        tree = around[0] if len(around) == 1 else ("*", *around) if before or behind else child
        found.append(Part(tree, start, stop, outer, inner))
        start = stop
    return found
