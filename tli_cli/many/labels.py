"""Similarities of one unit to all units that occur, to the last digit those of `unit_similarity`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.alignments import Floats, Ints
from tli_cli.matching.similarity import kind_likeness, root
from tli_cli.matching.units import Unit


class Labels:
    """Units that differ in what similarity looks at, one for each."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._shape, self._rank = _padded([unit.shape for unit in units])
        self._kernel, self._kernel_rank = _padded([unit.kernel for unit in units])
        kinds = {(unit.kind, unit.flavour): unit for unit in units}
        places = {kind: i for i, kind in enumerate(kinds)}
        self._kind = np.array([places[unit.kind, unit.flavour] for unit in units])
        self._kinds = np.array([[kind_likeness(a, b) for b in kinds.values()] for a in kinds.values()])
        roles = {"": 0}
        self._role = np.array([roles.setdefault(unit.role, len(roles)) for unit in units])
        self.row = lru_cache(maxsize=512)(self._row)

    def _row(self, label: int) -> Floats:
        """Return the similarity of the unit numbered `label` to each unit: `(units,)`."""
        shape = _size_likeness(self._shape, self._rank, label)
        kernel = _size_likeness(self._kernel, self._kernel_rank, label)
        kernel = np.where((self._kernel_rank > 0) & bool(self._kernel_rank[label]), kernel, 1.0)
        role = self._role[label]
        roles = np.where((self._role == role) | (self._role == 0) | (role == 0), 1.0, 0.6)
        kind: Floats = self._kinds[self._kind[label]][self._kind]
        return kind * (0.4 + 0.6 * shape) * (0.7 + 0.3 * kernel) * roles


def _padded(sizes: Sequence[tuple[int, ...]]) -> tuple[Floats, Ints]:
    """Return sizes as `(axes, units)`, at least 1 everywhere, and how many axes each has."""
    rank = np.array([len(one) for one in sizes], dtype=np.int64)
    table = np.ones((max(int(rank.max(initial=0)), 1), len(sizes)))
    for i, one in enumerate(sizes):
        table[: len(one), i] = one
    return np.maximum(table, 1.0), rank


def _size_likeness(sizes: Floats, rank: Ints, label: int) -> Floats:
    ratios = np.ones(sizes.shape[1])
    for axis in sizes:
        ratios *= np.minimum(axis, axis[label]) / np.maximum(axis, axis[label])
    return _roots(ratios, np.maximum(rank, rank[label]))


def _roots(ratios: Floats, degrees: Ints) -> Floats:
    """Return `root` of each: square roots side by side, the others by the same call as elsewhere."""
    roots = ratios.copy()
    for degree in np.unique(degrees):
        chosen: NDArray[np.bool_] = degrees == degree
        if degree in (2, 4):
            half = np.sqrt(ratios[chosen])
            roots[chosen] = half if degree == 2 else np.sqrt(half)
        elif degree > 1:
            values, places = np.unique(ratios[chosen], return_inverse=True)
            roots[chosen] = np.array([root(value, int(degree)) for value in values.tolist()])[places]
    return roots
