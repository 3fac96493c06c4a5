"""Numbers in place of values."""

from __future__ import annotations

from collections.abc import Hashable


class Numbering:
    """Numbers for what is equal, in the order in which it was first seen."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, value: Hashable) -> int:
        """Return the number of `value`."""
        return self._numbers.setdefault(value, len(self._numbers))
