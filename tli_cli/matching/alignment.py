"""Monotone alignment of two sequences by dynamic programming (Needleman and Wunsch, 1970)."""

from __future__ import annotations

from collections.abc import Sequence


def align(similarity: Sequence[Sequence[float]], gap: float = 0.0) -> list[tuple[int, int]]:
    """Return the pairs (row, column), both rising, that maximise the summed similarity less `gap` for each skipped
    item.

    Ties go to the diagonal that keeps both sequences in step, so that equal items are spread evenly.
    """
    rows, columns = len(similarity), len(similarity[0]) if similarity else 0
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows + 1):
        for j in range(columns + 1):
            if i or j:
                best[i][j] = max(_options(best, similarity, i, j, gap))
    pairs: list[tuple[int, int]] = []
    i, j = rows, columns
    while i and j:
        take, skip_row, skip_column = _options(best, similarity, i, j, gap)
        top = max(take, skip_row, skip_column)
        if take >= top - 1e-12 and similarity[i - 1][j - 1] > 0:
            pairs.append((i - 1, j - 1))
            i, j = i - 1, j - 1
        elif skip_row >= skip_column:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _options(
    best: Sequence[Sequence[float]], similarity: Sequence[Sequence[float]], i: int, j: int, gap: float
) -> tuple[float, float, float]:
    never = float("-inf")
    take = best[i - 1][j - 1] + similarity[i - 1][j - 1] if i and j else never
    return (take, best[i - 1][j] - gap if i else never, best[i][j - 1] - gap if j else never)
