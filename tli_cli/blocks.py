"""Map a large tensor block by block of its rows, so that what is in between stays small and in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tli_cli.axes import MapValues, Take, expression_columns, expression_rows
from tli_cli.plan import AxisExpression, AxisMap

BLOCK = 1 << 18
"""How many elements of the result are made at once."""


@dataclass(frozen=True)
class Rows:
    """Which source row feeds each target row, -1 for none, and what it is multiplied with, one factor after another.

    `index` and each of `scales` are of shape `(rows,)`; an `index` of None takes the rows as they are.
    """

    index: torch.Tensor | None
    scales: tuple[torch.Tensor, ...] = ()

    def block(self, tensor: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return the target rows from `start` to `stop`, in a floating type that is computed in."""
        if self.index is None:
            return computed(tensor[start:stop], copy=True)
        index = self.index[start:stop].to(tensor.device)
        taken = computed(tensor.index_select(0, index.clamp_min(0)), copy=True)
        shape = [-1] + [1] * (tensor.ndim - 1)
        for scale in self.scales:
            taken *= scale[start:stop].to(taken).view(shape)
        missing = index < 0
        return taken.masked_fill_(missing.view(shape), 0.0) if missing.any() else taken


def mapped_in_blocks(
    tensor: torch.Tensor, rows: Rows, shape: Sequence[int], rest: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Return `rest` of the rows of `tensor`, of `shape` and in the dtype of `tensor`, made block by block."""
    result = torch.empty(tuple(shape), dtype=tensor.dtype, device=tensor.device)
    step = max(1, BLOCK // max(1, result[0].numel()))
    for start in range(0, len(result), step):
        stop = min(start + step, len(result))
        result[start:stop] = rest(rows.block(tensor, start, stop))
    return result


def rows_of(
    expression: AxisExpression, maps: Sequence[AxisMap], values: Sequence[MapValues], contracted: bool
) -> Rows | None:
    """Return `expression` as one choice of rows; None where a matrix is part of it, which mixes them."""
    if isinstance(expression, int):
        take = values[expression].into if contracted else values[expression].out
        return _of_take(take)
    parts = [rows_of(part, maps, values, contracted) for part in expression[1:]]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    if all(part.index is None for part in known):
        return Rows(None)
    sizes = [(expression_rows(part, maps), expression_columns(part, maps)) for part in expression[1:]]
    combine = _side_by_side if expression[0] == "+" else _nested
    return combine(known, sizes)


def _of_take(take: Take | None) -> Rows | None:
    if take is None or (take.index is None and take.matrix is None):
        return Rows(None)
    if take.matrix is not None or take.index is None:
        return None
    return Rows(take.index, () if take.scale is None else (take.scale,))


def _side_by_side(parts: Sequence[Rows], sizes: Sequence[tuple[int, int]]) -> Rows:
    """Return parts that lie end to end as one."""
    indices, scales, offset = [], [], 0
    depth = max(len(part.scales) for part in parts)
    for part, (rows, columns) in zip(parts, sizes, strict=True):
        index = _index(part, rows)
        indices.append(torch.where(index < 0, -1, index + offset))
        ones = torch.ones(rows, dtype=torch.float64)
        scales.append([part.scales[i] if i < len(part.scales) else ones for i in range(depth)])
        offset += columns
    return Rows(torch.cat(indices), tuple(torch.cat([s[i].double() for s in scales]) for i in range(depth)))


def _nested(parts: Sequence[Rows], sizes: Sequence[tuple[int, int]]) -> Rows:
    """Return factors, the outermost first, as one."""
    index = torch.zeros(1, dtype=torch.int64)
    scales: list[torch.Tensor] = []
    for part, (rows, columns) in zip(parts, sizes, strict=True):
        inner = _index(part, rows)
        joined = index[:, None] * columns + inner[None, :]
        scales = [scale.repeat_interleave(rows) for scale in scales]
        scales += [scale.repeat(len(index)) for scale in part.scales]
        index = torch.where((index[:, None] < 0) | (inner[None, :] < 0), -1, joined).flatten()
    return Rows(index, tuple(scales))


def _index(part: Rows, rows: int) -> torch.Tensor:
    return torch.arange(rows) if part.index is None else part.index


def computed(tensor: torch.Tensor, *, copy: bool = False) -> torch.Tensor:
    """Return `tensor` in the type that it is computed in: float32, unless it is wider or complex."""
    wide = tensor.dtype == torch.float64 or tensor.is_complex()
    return tensor.to(tensor.dtype if wide else torch.float32, copy=copy)
