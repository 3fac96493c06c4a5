"""Monotone alignment of two sequences by dynamic programming (Needleman and Wunsch, 1970)."""

from __future__ import annotations

from collections.abc import Sequence


def align(similarity: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Return the pairs (row, column), both rising, that maximise the summed similarity.

    Ties go to the diagonal that keeps both sequences in step, so that equal items are spread evenly.
    """
    best = _best_sums(similarity)
    pairs: list[tuple[int, int]] = []
    i, j = len(similarity), len(similarity[0]) if similarity else 0
    while i and j:
        take = best[i - 1][j - 1] + similarity[i - 1][j - 1]
        skip_row, skip_column = best[i - 1][j], best[i][j - 1]
        if take >= max(skip_row, skip_column) - 1e-12 and similarity[i - 1][j - 1] > 0:
            pairs.append((i - 1, j - 1))
            i, j = i - 1, j - 1
        elif skip_row >= skip_column:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _best_sums(similarity: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the best sum over the first rows and columns, for each number of them."""
    best = [[0.0] * (len(similarity[0]) + 1 if similarity else 1)]
    for row in similarity:
        above, left = best[-1], 0.0
        sums = [left]
        for value, corner, upper in zip(row, above, above[1:], strict=False):
            take = corner + value
            skip = upper if upper > left else left
            left = take if take > skip else skip
            sums.append(left)
        best.append(sums)
    return best
