"""Operations whose results nothing reads, such as the deviation of a posterior of which the mean alone is taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch


class Readings:
    """What each operation reads and makes, by storage, and which numbers were noted for it."""

    def __init__(self) -> None:
        self._steps: list[tuple[set[int], set[int], range]] = []

    def note(self, name: str, given: Sequence[torch.Tensor], out: Any, numbers: range) -> None:
        """Note an operation; one that writes in place is taken to be read."""
        made = out if isinstance(out, (list, tuple)) else (out,)
        self._steps.append((_storages(given), set() if name.endswith("_") else _storages(made), numbers))

    def times_read(self, tensor: torch.Tensor) -> int:
        """Return how many operations make something else of a tensor than other views of it."""
        storage = tensor.untyped_storage()._cdata
        return sum(storage in read and made != {storage} for read, made, _ in self._steps)

    def unread(self, outputs: Iterable[torch.Tensor]) -> set[int]:
        """Return the numbers of operations of which nothing comes into `outputs`; none if there are no outputs."""
        live, found = _storages(outputs), set[int]()
        for read, made, numbers in reversed(self._steps if live else []):
            if made and live.isdisjoint(made):
                found.update(numbers)
            else:
                live |= read
        return found


def _storages(tensors: Iterable[Any]) -> set[int]:
    plain = (t for t in tensors if isinstance(t, torch.Tensor) and t.layout == torch.strided)
    return {t.untyped_storage()._cdata for t in plain}
