"""Axis maps that only choose: which source index feeds each target index, and what it is multiplied with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from tli_cli.axis_maps.expressions import expression_columns, expression_rows
from tli_cli.axis_maps.mixtures import Mixtures
from tli_cli.axis_maps.parting import PHASES, outputs_of, phases_of
from tli_cli.axis_maps.take import MapValues, Take
from tli_cli.pieces import AxisExpression, AxisMap

Run = tuple[int, int, int]
"""Neighbours that stay neighbours: the first target index, the source index that feeds it (-1, `MEAN`, `MIXED`), how
many."""

_FEW = 8


@dataclass(frozen=True)
class Selection:
    """The source index of each target index, -1 for none, `MEAN` for the mean of all and `MIXED` for those of `mixed`,
    and the factors that it is multiplied with, one after another.

    `index` and each of `scales` are of shape `(rows,)`; an `index` of None takes all `rows` as they are. What sums over
    copies is multiplied with `parted`, of shape `(PHASES, rows)`, besides; of what it makes, `phases`, of shape
    `(rows,)`, says in which way each divides, the first where there are none.
    """

    rows: int
    columns: int
    index: Any = None
    scales: tuple[Any, ...] = ()
    mixed: Mixtures | None = None
    parted: Any = None
    phases: Any = None

    @property
    def trivial(self) -> bool:
        """Whether there is one index, which is taken as it is."""
        return self.rows == self.columns == 1 and self.index is None

    @property
    def leaves_some(self) -> bool:
        """Whether there are target indices that nothing feeds."""
        return self.index is not None and bool((self.index == -1).any())

    @cached_property
    def averages(self) -> bool:
        """Whether there are target indices that take a mean."""
        return self.index is not None and bool((self.index < -1).any())

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All target indices, in runs."""
        return runs_of(np.arange(self.rows) if self.index is None else self.index)

    def cut(self, first: int, last: int) -> tuple[Run, ...]:
        """Return the target indices from `first` to `last` in runs, counted from `first`."""
        if len(self.runs) > _FEW:
            return runs_of(self.index[first:last])
        found = []
        for start, source, length in self.runs:
            begin, stop = max(start, first), min(start + length, last)
            if begin < stop:
                found.append((begin - first, source if source < 0 else source + begin - start, stop - begin))
        return tuple(found)

    @cached_property
    def scaled(self) -> tuple[tuple[int, int], ...]:
        """The ranges of target indices that are not multiplied with one; a few, with others between them if need be."""
        changed = np.zeros(self.rows, dtype=bool)
        for scale in (*self.scales, *(() if self.parted is None else self.parted)):
            changed |= scale != 1.0
        edges = np.flatnonzero(np.diff(changed, prepend=False, append=False))
        ranges = [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
        return tuple(ranges) if len(ranges) <= _FEW else ((ranges[0][0], ranges[-1][1]),)

    def factors(self, dtype: Any) -> tuple[Any, ...]:
        """Return the scales as they are computed with: together, of shape `(PHASES, rows)`, where copies part."""
        return self._doubles if dtype in (np.float64, np.complex128) else self._singles

    @cached_property
    def _doubles(self) -> tuple[Any, ...]:
        return self.scales if self.parted is None else (prod(self.scales, start=self.parted),)

    @cached_property
    def _singles(self) -> tuple[Any, ...]:
        return tuple(scale.astype(np.float32) for scale in self._doubles)

    @cached_property
    def ways(self) -> Any:
        """The phase of each target index, of shape `(rows,)`."""
        return np.zeros(self.rows, dtype=np.int64) if self.phases is None else self.phases


def runs_of(index: Any) -> tuple[Run, ...]:
    """Return the `(n,)` indices in runs."""
    if not len(index):
        return ()
    after = np.where(index < 0, index, index + 1)
    joined = (index[1:] == after[:-1]) & ((index[1:] < 0) == (index[:-1] < 0))
    starts = np.concatenate([[0], np.flatnonzero(~joined) + 1, [len(index)]])
    return tuple((int(start), int(index[start]), int(stop - start)) for start, stop in pairwise(starts))


def selection_of(
    expression: AxisExpression, maps: Sequence[AxisMap], values: Sequence[MapValues], contracted: bool
) -> Selection | None:
    """Return `expression` as one selection; None where a part of it mixes what it takes, by a matrix or a mean."""
    if isinstance(expression, int):
        take = values[expression].into if contracted else values[expression].out
        return _of_take(take, maps[expression], values[expression].parted if contracted else None)
    parts = [selection_of(part, maps, values, contracted) for part in expression[1:]]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or any(part.averages for part in known):
        return None
    sizes = expression_rows(expression, maps), expression_columns(expression, maps)
    if all(part.index is None for part in known):
        return Selection(*sizes)
    return _side_by_side(known) if expression[0] == "+" else nested(known)


def with_phases(selections: Sequence[Selection], contracted: Sequence[bool]) -> list[Selection]:
    """Return the selections of a weight's axes, of which one tells how each output divides among copies that part."""
    at = outputs_of([one.rows for one in selections], contracted)
    if at < 0:
        return [replace(one, parted=None) for one in selections]
    phases = None if all(one.parted is None for one in selections) else phases_of(selections[at].rows)
    return [replace(one, phases=phases) if dim == at else one for dim, one in enumerate(selections)]


def _of_take(take: Take | None, axis_map: AxisMap, parted: Any) -> Selection | None:
    if take is None or (take.index is None and take.matrix is None):
        return Selection(axis_map.columns, axis_map.columns)
    if take.matrix is not None:
        return None
    scales = () if take.scale is None or (take.scale == 1.0).all() else (take.scale,)
    return Selection(len(take.index), axis_map.columns, take.index, scales, take.mixed, parted)


def _side_by_side(parts: Sequence[Selection]) -> Selection:
    """Return parts that lie end to end as one."""
    indices, scales, offset = [], [], 0
    depth = max(len(part.scales) for part in parts)
    for part in parts:
        index = _index(part)
        indices.append(np.where(index < 0, -1, index + offset))
        scales.append([part.scales[i] if i < len(part.scales) else np.ones(part.rows) for i in range(depth)])
        offset += part.columns
    joined = tuple(np.concatenate([scale[i] for scale in scales]) for i in range(depth))
    tables = [np.ones((PHASES, part.rows)) if part.parted is None else part.parted for part in parts]
    parted = None if all(part.parted is None for part in parts) else np.concatenate(tables, axis=1)
    return Selection(sum(part.rows for part in parts), offset, np.concatenate(indices), joined, parted=parted)


def nested(parts: Sequence[Selection]) -> Selection:
    """Return factors, the outermost first, as one; only one that stands alone may average."""
    parts = [part for part in parts if not part.trivial]
    if len(parts) == 1:
        return parts[0]
    rows, columns = prod(part.rows for part in parts), prod(part.columns for part in parts)
    phases, parted = _along(parts, "phases"), _along(parts, "parted")
    if all(part.index is None for part in parts):
        return Selection(rows, columns, phases=phases[0] if phases else None)
    index = np.zeros(1, dtype=np.int64)
    for part in parts:
        inner = _index(part)
        missing = (index[:, None] < 0) | (inner[None, :] < 0)
        index = np.where(missing, -1, index[:, None] * part.columns + inner[None, :]).ravel()
    scales = tuple(scale for i, part in enumerate(parts) for scale in _spread(parts, i, part.scales))
    table: Any = prod(parted) if parted else None
    way = phases[0] if phases else None
    if table is not None and way is not None:
        table, scales = None, (*scales, table[way, np.arange(rows)])
    return Selection(rows, columns, index, scales, parted=table, phases=way)


def _along(parts: Sequence[Selection], name: str) -> list[Any]:
    """Return what factors have under `name`, along all of them."""
    held = [getattr(part, name) for part in parts]
    return [along for i, value in enumerate(held) if value is not None for along in _spread(parts, i, [value])]


def _spread(parts: Sequence[Selection], at: int, values: Sequence[Any]) -> list[Any]:
    """Return `values` along the factor `at`, the last axis of each, along all `parts`."""
    before, behind = (prod(part.rows for part in side) for side in (parts[:at], parts[at + 1 :]))
    return [np.tile(value.repeat(behind, axis=-1), before) for value in values]


def _index(part: Selection) -> Any:
    return np.arange(part.rows) if part.index is None else part.index
