"""Contents that are put together from others, or from one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tli_cli.checkpoints.writing.contents import Content


@dataclass(frozen=True)
class Joined:
    """Contents one after another."""

    parts: tuple[Content, ...]

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return sum(part.length for part in self.parts)

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        before = 0
        for part in self.parts:
            first, last = max(start, before), min(start + len(out), before + part.length)
            if first < last:
                part.fill(first - before, out[first - start : last - start])
            before += part.length


@dataclass(frozen=True)
class Constant:
    """The bytes of one `value`, again and again."""

    length: int
    value: bytes

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        first = start % len(self.value)
        repeated = self.value * (len(out) // len(self.value) + 2)
        out[:] = repeated[first : first + len(out)]


@dataclass(frozen=True)
class Patched:
    """The rows of `content`, each of `row_bytes`, but those from `other` that stand in `runs`: first row, how many."""

    content: Content
    other: Content
    row_bytes: int
    runs: Sequence[tuple[int, int]]

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self.content.length

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        self.content.fill(start, out)
        for row, count in self.runs:
            first, last = max(start, row * self.row_bytes), min(start + len(out), (row + count) * self.row_bytes)
            if first < last:
                self.other.fill(first, out[first - start : last - start])
