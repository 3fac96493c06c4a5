"""Target indices that are the mean of a few source indices each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

MIXED = -3
"""In place of a source index: the mean of a few of them."""

_AT_ONCE = 1 << 22
"""Elements that are gathered at once."""


def with_size(shape: Sequence[int], dim: int, size: int) -> list[int]:
    """Return `shape` with `size` at `dim`."""
    return [size if d == dim else own for d, own in enumerate(shape)]


@dataclass(frozen=True)
class Mixtures:
    """The target indices `rows`, of shape `(n,)` and ascending; that at place `i` is the mean of the source indices
    `parts[starts[i]:starts[i + 1]]`."""

    rows: Any
    starts: Any
    parts: Any

    def between(self, first: int, last: int) -> Mixtures:
        """Return those of the target indices from `first` to `last`, counted from `first`."""
        begin, end = np.searchsorted(self.rows, (first, last))
        found = self._cut(begin, end)
        return replace(found, rows=found.rows - first)

    @property
    def counts(self) -> Any:
        """How many source indices there are to each, of shape `(n,)`."""
        return np.diff(self.starts)

    def means(self, take: Callable[[Any], Any]) -> Any:
        """Return the `(n, columns)` means of the rows that `take` gives for source indices, in the type of these."""
        unique, places = np.unique(self.parts, return_inverse=True)
        sums = np.add.reduceat(take(unique)[places], self.starts[:-1], axis=0)
        return sums / self.counts[:, None].astype(sums.real.dtype)

    def put(self, tensor: torch.Tensor, dim: int, into: torch.Tensor) -> torch.Tensor:
        """Return `into` with the means of `tensor` along `dim` at `rows`."""
        import torch

        width = max(1, tensor.numel() // max(1, tensor.shape[dim]))
        step = max(1, _AT_ONCE // (width * int(self.counts.max(initial=1))))
        for first in range(0, len(self.rows), step):
            part = self._cut(first, min(first + step, len(self.rows)))
            index, parts, owners, counts = (
                torch.from_numpy(values).to(tensor.device)
                for values in (part.rows, part.parts, np.repeat(np.arange(len(part.rows)), part.counts), part.counts)
            )
            zeros = tensor.new_zeros(with_size(tensor.shape, dim, len(index)))
            sums = zeros.index_add(dim, owners, tensor.index_select(dim, parts))
            into = into.index_copy(dim, index, sums / counts.view(with_size((1,) * tensor.ndim, dim, len(index))))
        return into

    def _cut(self, first: int, last: int) -> Mixtures:
        starts = self.starts[first : last + 1]
        return Mixtures(self.rows[first:last], starts - starts[0], self.parts[starts[0] : starts[-1]])
