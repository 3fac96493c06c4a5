"""The results of steps that only choose along the axes of stored tensors, made on their way from file to file.

Nothing is held but the few rows that are made at once, and torch is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from threading import Lock
from typing import Any

import numpy as np

from tli_cli.architecture import TensorSpec
from tli_cli.axis_maps.selection import Selection, selection_of, with_phases
from tli_cli.axis_maps.values import LEAVE_SOME, PlanMaps
from tli_cli.checkpoints.files import FileRange, opened, read_at, read_range
from tli_cli.checkpoints.writing.contents import Content
from tli_cli.dtypes import bits
from tli_cli.floats import STORED, store
from tli_cli.initial import number_of
from tli_cli.injection.composed import Constant, Joined, Patched
from tli_cli.injection.mapped import Mapped, Read, matrix_of
from tli_cli.injection.stored_values import Stored, StoredValues, reorders
from tli_cli.pieces import Layout, Piece
from tli_cli.plan import Plan, Step


class Streams:
    """Makes contents of steps of `plan`, where a step allows it."""

    def __init__(self, plan: Plan, maps: PlanMaps, values: StoredValues) -> None:
        self._plan, self._maps, self._values = plan, maps, values

    def content(self, step: Step, spec: TensorSpec) -> Content | None:
        """Return what `step` gives in the type of `spec`; None where more than choosing is needed for it."""
        if 0 in spec.shape:
            return None
        number = number_of(step.initial)
        if step.action == "keep" and number is not None and spec.dtype in STORED:
            return _constant(number, prod(spec.shape), spec.dtype)
        if step.action == "keep":
            own = self._values.own(step)
            return None if own is None else _mapped(own, spec.dtype, [_all_of(spec.shape)])
        pieces = sorted(step.pieces, key=lambda piece: piece.target_range or (0, 0, 0))
        if step.resizer not in ("maps", "copy") or not _tile(pieces, step.shape):
            return None
        parts = [self._part(step, piece, spec.dtype) for piece in pieces]
        known = [part for part in parts if part is not None]
        joined = known[0] if len(known) == 1 else Joined(tuple(known))
        if len(known) < len(parts) or joined.length != prod(spec.shape) * bits(spec.dtype) // 8:
            return None  # a plan whose parts do not fit is told where the step is carried out
        return self._values.checked([(piece.model, piece.source) for piece in pieces], joined)

    def _part(self, step: Step, piece: Piece, dtype: str) -> Content | None:
        source = self._values.stored(piece.model, piece.source)
        if source is None or piece.weight != 1.0 or piece.fold is not None or any(piece.added):
            return None
        cut = _cut(source, piece)
        selections = None if cut is None else self._selections(step, piece, cut[0].shape)
        if cut is None or selections is None:
            return None
        gain = piece.gain if step.resizer == "maps" else 1.0
        mapped = _mapped(cut, dtype, selections, gain, piece.layout if reorders(piece.layout) else None)
        new = self._new_rows(piece, selections)
        return mapped if mapped is None or not new else self._patched(step, mapped, cut[0].dtype, new)

    def _new_rows(self, piece: Piece, selections: Sequence[Selection]) -> list[tuple[int, int]]:
        """Return the rows that start as the target does, in runs: the first, how many."""
        if not piece.axes or 0 in piece.contracted or not self._starts_elsewhere(piece.axes[0]):
            return []
        return [(start, length) for start, source, length in selections[0].runs if source == -1]

    def _patched(self, step: Step, mapped: Mapped, source: str, new: Sequence[tuple[int, int]]) -> Content | None:
        """Return `mapped` with the rows `new` as the target starts, as if of type `source`; None where these are drawn,
        or are no rows of all of the target."""
        if step.initial == "zeros":
            return mapped
        row_bytes = mapped.length // step.shape[0]
        if (number := number_of(step.initial)) is not None:
            return Patched(mapped, _constant(number, prod(step.shape), mapped.dtype), row_bytes, new)
        own = self._values.own(step)
        if own is None or own[0].dtype != source or own[0].shape != step.shape:
            return None
        start = _mapped(own, mapped.dtype, [_all_of(step.shape)])
        return None if start is None else Patched(mapped, start, row_bytes, new)

    def _selections(self, step: Step, piece: Piece, shape: tuple[int, ...]) -> Sequence[Selection] | None:
        """Return the selection of each axis of the source's part `shape`, None where they are not all choices."""
        seen = piece.layout.shape if piece.layout is not None else shape
        if step.resizer == "copy" or not piece.axes:
            return [_all_of(seen)]
        if len(piece.axes) != len(seen) or prod(seen) != prod(shape):
            return None
        found = []
        for dim, (expression, size) in enumerate(zip(piece.axes, seen, strict=True)):
            contracted = dim in piece.contracted
            selection = selection_of(expression, self._plan.maps, self._maps, contracted)
            if selection is None or selection.columns != size:
                return None
            starts = not contracted and selection.leaves_some and self._starts_elsewhere(expression)
            plain = isinstance(expression, int) and not selection.averages
            if starts and (dim or piece.target_range is not None or not plain):
                return None
            found.append(selection)
        return with_phases(found, [dim in piece.contracted for dim in range(len(found))])

    def _starts_elsewhere(self, expression: Any) -> bool:
        """Return whether a part of `expression` leaves indices to what the target starts from."""
        if isinstance(expression, int):
            return self._plan.maps[expression].rule in LEAVE_SOME
        return any(self._starts_elsewhere(part) for part in expression[1:])


def _tile(pieces: Sequence[Piece], shape: Sequence[int]) -> bool:
    """Return whether the pieces lie one after another along the first axis, and give all of it."""
    if len(pieces) == 1 and pieces[0].target_range is None:
        return True
    end = 0
    for piece in pieces:
        if piece.target_range is None or piece.target_view or piece.target_range[:2] != (0, end):
            return False
        end = piece.target_range[2]
    return bool(pieces) and end == shape[0]


def _cut(source: Stored, piece: Piece) -> Stored | None:
    """Return the part of the source that `piece` takes; None where that is not one part of its bytes."""
    if piece.source_range is None:
        return source
    spec, held = source
    axis, start, stop = piece.source_range
    if axis or piece.source_view or not spec.shape or not 0 <= start <= stop <= spec.shape[0]:
        return None
    row = held.length // max(1, spec.shape[0])
    part = replace(held, offset=held.offset + start * row, length=(stop - start) * row)
    return replace(spec, shape=(stop - start, *spec.shape[1:])), part


def _all_of(shape: Sequence[int]) -> Selection:
    return Selection(prod(shape), prod(shape))


def _constant(value: float, count: int, dtype: str) -> Constant:
    stored = store(np.array([value]), dtype)
    return Constant(count * stored.nbytes, stored.tobytes())


def _mapped(
    source: Stored, dtype: str, selections: Sequence[Selection], gain: float = 1.0, layout: Layout | None = None
) -> Mapped | None:
    """Return `source`, reordered by `layout`, with its axes chosen, as `dtype`; None where that is not done here."""
    spec, held = source
    plain = spec.dtype == dtype or not (spec.dtype + dtype).count("complex")
    if spec.dtype not in STORED or dtype not in STORED or not plain:
        return None
    sides = matrix_of(selections)
    if sides is None:
        return None
    rows, columns = sides
    if layout is None:
        read = _reader(held, columns.columns * bits(spec.dtype) // 8)
    elif (rows.columns * columns.columns, prod(layout.split)) != (spec.size, spec.size):
        return None
    else:
        read = TurnedWeights(held, spec.dtype, layout).read
    return Mapped(read, rows, columns, spec.dtype, dtype, gain)


def _reader(piece: FileRange, width: int) -> Read:
    """Return what reads rows of `width` bytes that stand in `piece`."""

    def read(parts: Sequence[tuple[int, Any]]) -> None:
        with opened(piece) as descriptor:
            for first, out in parts:
                read_at(descriptor, piece.path, piece.offset + first * width, out.reshape(-1).view(np.uint8).data)

    return read


class TurnedWeights:
    """Gives rows of the values of `dtype` in `piece`, reordered by `layout`; all are read when the first are."""

    def __init__(self, piece: FileRange, dtype: str, layout: Layout) -> None:
        self._piece, self._dtype, self._layout = piece, dtype, layout
        self._lock = Lock()
        self._values: Any = None

    def read(self, parts: Sequence[tuple[int, Any]]) -> None:
        """Fill arrays of shape `(rows, columns)`, each with the rows from the one that stands before it on."""
        with self._lock:
            if self._values is None:
                self._values = self._turned()
        for first, out in parts:
            out[...] = self._values.reshape(-1, out.shape[1])[first : first + len(out)]

    def _turned(self) -> Any:
        kind = np.dtype(STORED[self._dtype])
        values = np.empty(self._piece.length // kind.itemsize, dtype=kind)
        read_range(self._piece, values.view(np.uint8).data)
        return values.reshape(self._layout.split).transpose(self._layout.permute).reshape(-1)
