"""Blocks whose layers are kept in several lists side by side: `attentions.0`, `norms.0` and `mlps.0` are one block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tli_cli.grouping import gathered
from tli_cli.matching.units import Unit

Groups = Mapping[str, Sequence[Unit]]


def with_parallel_lists(groups: Groups) -> dict[str, list[Unit]]:
    """Return `groups` of units by name, in order, those of one index in lists side by side in one.

    Lists stand side by side if one module holds them, their indices are the same, and what has one index is run before
    all that has the next; of lists of one item there are three at least, and one holds a norm alone. What begins with a
    norm of its own and holds two weighted layers is a block in itself: lists of such stand for themselves.
    """
    parted = [(name, item, unit) for name, units in groups.items() for item, unit in _items(name, units)]
    home = _homes(gathered((item, unit) for _, item, unit in parted))
    merged = gathered((home.get(item, name), unit) for name, item, unit in parted)
    return {name: sorted(units, key=lambda unit: unit.key) for name, units in merged.items()} if home else merged


def _items(name: str, units: Sequence[Unit]) -> list[tuple[str, Unit]]:
    """Return each of `units` with the name of their group, and its index there where the group is a whole list."""
    indices = [unit.path.removeprefix(f"{name}.").partition(".")[0] for unit in units]
    if name.rpartition(".")[2].isdecimal() or not all(index.isdecimal() for index in indices):
        return [(name, unit) for unit in units]
    return [(f"{name}.{index}", unit) for index, unit in zip(indices, units, strict=True)]


def _is_block(units: Sequence[Unit]) -> bool:
    return (
        min(units, key=lambda u: u.key).kind == "norm" and sum(u.kind in ("conv", "dense", "linear") for u in units) > 1
    )


def _homes(items: Groups) -> dict[str, str]:
    """Return for each item of lists side by side the one that is run first of those with its index."""
    order = {name: min(unit.key for unit in units) for name, units in items.items()}
    ends = {name: max(unit.key for unit in units) for name, units in items.items()}
    named = (name.rpartition(".") for name in items)
    lists = gathered((holder, index) for holder, _, index in named if index.isdecimal() and holder)
    beside = gathered(
        ((holder.rpartition(".")[0], tuple(sorted(indices, key=int))), holder)
        for holder, indices in lists.items()
        if not all(_is_block(items[f"{holder}.{index}"]) for index in indices)
    )
    home: dict[str, str] = {}
    for (_, shared), holders in beside.items():
        rows = [sorted((f"{holder}.{i}" for holder in holders), key=order.__getitem__) for i in shared]
        follow = all(max(ends[n] for n in row) < order[later[0]] for row, later in pairwise(rows))
        norms = any(unit.kind == "norm" for name in rows[0] for unit in items[name][:1])
        if follow and len(holders) > 1 and (len(rows) > 1 or (len(holders) > 2 and norms)):
            home |= {name: row[0] for row in rows for name in row}
    return home
