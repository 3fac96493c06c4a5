"""Similarities of one unit to all units that occur, to the last digit those of `unit_similarity`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.arrays import Floats, Ints, Numbering
from tli_cli.matching.similarity import SHAPE, manner_likeness, root
from tli_cli.matching.units import Unit
from tli_cli.scoring.keeping import kernel_keeping

MOST_KEPT = 512


class Labels:
    """Units that differ in what similarity looks at, one for each."""

    def __init__(self, units: Sequence[Unit]) -> None:
        shapes, manners = Numbering(), Numbering()
        self._shape = np.array([shapes.of(unit.shape) for unit in units])
        self._manner = np.array([manners.of((unit.kind, unit.flavour, unit.kernel, unit.role)) for unit in units])
        self._sizes, self._rank = _padded([units[i].shape for i in _first(self._shape)])
        self._manners = [units[i] for i in _first(self._manner)]
        self.row = lru_cache(maxsize=MOST_KEPT)(self._row)
        self.keeping = lru_cache(maxsize=MOST_KEPT)(self._keeping_row)
        self._of_shape = lru_cache(maxsize=MOST_KEPT)(self._shape_row)
        self._of_manner = lru_cache(maxsize=MOST_KEPT)(partial(self._manner_row, manner_likeness))
        self._kept_of_shape = lru_cache(maxsize=MOST_KEPT)(self._kept_shape_row)
        self._kept_of_manner = lru_cache(maxsize=MOST_KEPT)(partial(self._manner_row, kernel_keeping))

    def _row(self, label: int) -> Floats:
        """Return the similarity of the unit numbered `label` to each unit: `(units,)`."""
        manner = self._of_manner(int(self._manner[label]))[self._manner]
        likeness: Floats = manner * self._of_shape(int(self._shape[label]))[self._shape]
        return likeness

    def _keeping_row(self, label: int) -> Floats:
        """Return `keeping` of the unit numbered `label` from each unit: `(units,)`."""
        kernels = self._kept_of_manner(int(self._manner[label]))[self._manner]
        kept: Floats = kernels * self._kept_of_shape(int(self._shape[label]))[self._shape]
        return kept

    def _manner_row(self, of: Callable[[Unit, Unit], float], manner: int) -> Floats:
        return np.array([of(self._manners[manner], other) for other in self._manners])

    def _shape_row(self, shape: int) -> Floats:
        ratios = np.ones(self._sizes.shape[1])
        for axis in self._sizes:
            ratios *= np.minimum(axis, axis[shape]) / np.maximum(axis, axis[shape])
        return 1 - SHAPE + SHAPE * _roots(ratios, np.maximum(self._rank, self._rank[shape]))

    def _kept_shape_row(self, shape: int) -> Floats:
        kept = np.ones(self._sizes.shape[1])
        for axis in self._sizes:
            share = np.minimum(axis, axis[shape]) / np.maximum(axis, axis[shape])
            kept *= np.where(axis > axis[shape], np.sqrt(np.sqrt(share)), share)
        worth = 1 - SHAPE + SHAPE * _roots(kept, np.maximum(self._rank, self._rank[shape]))
        return worth / self._of_shape(shape)


def _first(numbers: Ints) -> list[int]:
    """Return where each number occurs first, in the order of the numbers."""
    places: list[int] = np.unique(numbers, return_index=True)[1].tolist()
    return places


def _padded(sizes: Sequence[tuple[int, ...]]) -> tuple[Floats, Ints]:
    """Return sizes as `(axes, units)`, at least 1 everywhere, and how many axes each has."""
    rank = np.array([len(one) for one in sizes], dtype=np.int64)
    table = np.ones((max(int(rank.max(initial=0)), 1), len(sizes)))
    for i, one in enumerate(sizes):
        table[: len(one), i] = one
    return np.maximum(table, 1.0), rank


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
