"""An order in which alike models stand side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def clustered_order(values: Sequence[Sequence[float]]) -> list[int]:
    """Return the leaves of an average-linkage tree over the mean of both directions.

    Each pair of branches is turned so that their nearest ends meet. The tree is found by following nearest neighbours
    (Murtagh, 1983): `O(n^2)` time and memory.
    """
    scores = np.asarray(values, dtype=np.float64)
    count = len(scores)
    between = 1.0 - (scores + scores.T) / 2
    apart = between.copy()
    np.fill_diagonal(apart, np.inf)
    leaves: list[list[int]] = [[i] for i in range(count)]
    chain: list[int] = []
    for _ in range(count - 1):
        one, other = _nearest_pair(apart, leaves, chain)
        sizes = len(leaves[one]), len(leaves[other])
        row = (sizes[0] * apart[one] + sizes[1] * apart[other]) / sum(sizes)
        row[[one, other]] = np.inf
        apart[one], apart[:, one] = row, row
        apart[other], apart[:, other] = np.inf, np.inf
        leaves[one] = _joined(leaves[one], leaves[other], between)
        leaves[other] = []
    return next((group for group in leaves if group), [])


def _nearest_pair(apart: NDArray[np.float64], leaves: list[list[int]], chain: list[int]) -> tuple[int, int]:
    """Return two clusters that are each other's nearest; `chain` is left where the next search goes on."""
    if not chain:
        chain.append(next(i for i, group in enumerate(leaves) if group))
    while True:
        last = chain[-1]
        nearest = int(np.argmin(apart[last]))
        if len(chain) > 1 and apart[last, chain[-2]] <= apart[last, nearest]:
            one, other = sorted((chain.pop(), chain.pop()))
            return one, other
        chain.append(nearest)


def _joined(one: list[int], other: list[int], between: NDArray[np.float64]) -> list[int]:
    ways = [(one, other), (one[::-1], other), (one, other[::-1]), (one[::-1], other[::-1])]
    left, right = min(ways, key=lambda way: between[way[0][-1], way[1][0]])
    return [*left, *right]
