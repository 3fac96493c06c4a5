"""A tensor whose axes are all chosen from another's, made a few rows at a time.

The tensor is seen as a matrix: leading axes together choose its rows, the others its columns. Neighbours that stay
neighbours are moved as bytes; only what is multiplied, or goes to another type, is computed, in float32 unless it is
wider or complex.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from tli_cli.axis_maps.selection import Selection, nested, runs_of
from tli_cli.axis_maps.take import MEAN
from tli_cli.dtypes import bits
from tli_cli.floats import STORED, convert, load, store

Read = Callable[[Sequence[tuple[int, Any]]], None]
"""Fill arrays `(rows, columns)` of stored values, each with the source's rows from the one that stands before it on."""

_STEP = 1 << 18
"""Elements that are made at once: what is in between stays in the cache."""

_WIDE = 1 << 16
"""Elements of a row that are enough to make it worth while to move it as one."""

_SCATTERED = 8
"""Runs shorter than this on average are gathered one by one."""

_DENSE = 4
"""Rows are read with those between them where these are not more than so many times as many."""


@dataclass(frozen=True)
class Mapped:
    """Rows of a tensor of `dtype` that `rows` and `columns` choose from a source of type `source`, times `gain`.

    What is computed is rounded to `source` first, whatever `dtype` is.
    """

    read: Read
    rows: Selection
    columns: Selection
    source: str
    dtype: str
    gain: float = 1.0

    @property
    def row_bytes(self) -> int:
        """The bytes of a row of the result."""
        return self.columns.rows * bits(self.dtype) // 8

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self.rows.rows * self.row_bytes

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        size, end = self.row_bytes, start + len(out)
        step = max(1, _STEP // max(self.columns.rows, self.columns.columns))
        for first in range(start // size, -(-end // size), step):
            last = min(first + step, -(-end // size))
            begin, stop = first * size - start, last * size - start
            if begin >= 0 and stop <= len(out):
                self._make(first, last, out[begin:stop])
            else:
                rows = memoryview(bytearray(stop - begin))
                self._make(first, last, rows)
                out[max(0, begin) : stop] = rows[max(0, -begin) : len(rows) - max(0, stop - len(out))]

    def _make(self, first: int, last: int, out: memoryview) -> None:
        """Put the rows from `first` to `last` of the result into `out`, as they are stored."""
        made = np.frombuffer(out, dtype=STORED[self.dtype]).reshape(last - first, self.columns.rows)
        taken = made if self.source == self.dtype else np.empty(made.shape, dtype=STORED[self.source])
        self._take(first, last, taken)
        with np.errstate(all="ignore"):
            self._multiply(taken, first, last)
            if taken is not made:
                made[:] = convert(taken, self.source, self.dtype)

    def _take(self, first: int, last: int, out: Any) -> None:
        """Put what the rows from `first` to `last` are made of into `out`, zeros where there is nothing."""
        if self.columns.index is None:
            self._rows(first, last, out)
        else:
            rows = np.empty((last - first, self.columns.columns), dtype=out.dtype)
            self._rows(first, last, rows)
            self._columns(rows, out)

    def _rows(self, first: int, last: int, out: Any) -> None:
        """Put the source's rows for the result's from `first` to `last` into `out`."""
        if self.rows.index is None:
            self.read([(first, out)])
            return
        index, runs = self.rows.index[first:last], self.rows.cut(first, last)
        if len(runs) * _SCATTERED > len(index):
            known = index[index >= 0]
            base, span = (int(known.min()), int(np.ptp(known)) + 1) if len(known) else (0, 0)
            if 0 < span <= _DENSE * len(index):
                held = np.empty((span, self.columns.columns), dtype=out.dtype)
                self.read([(base, held)])
                held.take(index - base, axis=0, out=out, mode="clip")
                out[index == -1] = 0
                out[index == MEAN] = self._mean_row if (index == MEAN).any() else 0
                self._mixed_rows(first, last, out)
                return
        self.read([(source, out[start : start + length]) for start, source, length in runs if source >= 0])
        for start, source, length in runs:
            if source < 0:
                out[start : start + length] = self._mean_row if source == MEAN else 0
        self._mixed_rows(first, last, out)

    def _mixed_rows(self, first: int, last: int, out: Any) -> None:
        """Put those of the rows from `first` to `last` that are means of a few of the source's into `out`."""
        mixed = None if self.rows.mixed is None else self.rows.mixed.between(first, last)
        if mixed is not None and len(mixed.rows):
            out[mixed.rows] = store(mixed.means(self._gathered), self.source)

    def _gathered(self, index: Any) -> Any:
        """Return the source's rows of an ascending `index`, as they are computed with."""
        rows = np.empty((len(index), self.columns.columns), dtype=STORED[self.source])
        self.read([(source, rows[start : start + length]) for start, source, length in runs_of(index)])
        return load(rows, self.source)

    @cached_property
    def _mean_row(self) -> Any:
        """The mean of all rows of the source."""
        total: Any = 0.0
        step = max(1, _STEP // self.columns.columns)
        for first in range(0, self.rows.columns, step):
            part = np.empty((min(step, self.rows.columns - first), self.columns.columns), dtype=STORED[self.source])
            self.read([(first, part)])
            total = total + load(part, self.source).sum(axis=0, dtype=_wide(self.source))
        return store(total / self.rows.columns, self.source)

    def _columns(self, rows: Any, out: Any) -> None:
        """Put the result's columns of `rows` into `out`."""
        if len(self.columns.runs) * _SCATTERED > self.columns.rows:
            rows.take(self.columns.index.clip(0), axis=1, out=out, mode="clip")
            out[:, self.columns.index == -1] = 0
            if (self.columns.index == MEAN).any():
                out[:, self.columns.index == MEAN] = self._mean_column(rows)
            self._mixed_columns(rows, out)
            return
        for start, source, length in self.columns.runs:
            part = out[:, start : start + length]
            if source < 0:
                part[:] = self._mean_column(rows) if source == MEAN else 0
            else:
                part[:] = rows[:, source : source + length]
        self._mixed_columns(rows, out)

    def _mixed_columns(self, rows: Any, out: Any) -> None:
        """Put the columns that are means of a few of those of `rows` into `out`."""
        mixed = self.columns.mixed
        if mixed is not None:
            out[:, mixed.rows] = store(mixed.means(lambda index: load(rows[:, index], self.source).T).T, self.source)

    def _mean_column(self, rows: Any) -> Any:
        """Return the mean of each of `rows` over all columns of the source."""
        return store(load(rows, self.source).mean(axis=1, dtype=_wide(self.source), keepdims=True), self.source)

    def _multiply(self, taken: Any, first: int, last: int) -> None:
        """Multiply the rows from `first` to `last`, in place, where that changes them."""
        rows, columns = self.rows, self.columns
        along = rows.parted is not None or any((scale[first:last] != 1.0).any() for scale in rows.scales)
        for start, stop in ((0, columns.rows),) if along or self.gain != 1.0 else columns.scaled:
            values = load(taken[:, start:stop], self.source)
            for scale in rows.factors(values.dtype) if along else ():
                part = scale[..., first:last]
                values *= part[:, None] if part.ndim == 1 else part[columns.ways[start:stop]].T
            for scale in columns.factors(values.dtype):
                part = scale[..., start:stop]
                values *= part if part.ndim == 1 else part[rows.ways[first:last]]
            if self.gain != 1.0:
                values *= values.dtype.type(self.gain)
            taken[:, start:stop] = store(values, self.source)


def matrix_of(selections: Sequence[Selection]) -> tuple[Selection, Selection] | None:
    """Return what chooses rows and columns of a tensor, by the selections of its axes; None where several average."""
    cut, count = next((i, len(selections)) for i in range(len(selections) + 1) if _width(selections[i:]) <= _WIDE)
    if cut == count > 0 and _width(selections[-1:]) <= 4 * _WIDE:
        cut -= 1
    if not _average_alone(selections, cut):
        cut = next((other for other in range(len(selections) + 1) if _average_alone(selections, other)), -1)
    return None if cut < 0 else (nested(selections[:cut]), nested(selections[cut:]))


def _average_alone(selections: Sequence[Selection], cut: int) -> bool:
    """Tell whether what averages is all of the rows, or all of the columns, where axes before `cut` are rows."""
    sides = ([part for part in side if not part.trivial] for side in (selections[:cut], selections[cut:]))
    return all(len(side) == 1 or not any(part.averages for part in side) for side in sides)


def _wide(dtype: str) -> str:
    """Return the type that values of `dtype` are summed in."""
    return "c16" if dtype.startswith("complex") else "f8"


def _width(selections: Sequence[Selection]) -> int:
    return max(prod(part.rows for part in selections), prod(part.columns for part in selections))
