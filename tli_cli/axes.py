"""Axis maps at work: the values of each map, and their application to the axes of a tensor.

A map takes target indices from source indices twice over: `out` for axes that produce the channels, `into` for axes
that sum over them. If `x' = out x` are the target's channels, a consumer's weight becomes `w into`, so that `w into
x' = w x` wherever channels are only added (Net2Net, arXiv 1511.05641; LEMON, arXiv 2310.07999).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tli_cli.axis_rules import RULES
from tli_cli.errors import PlanError
from tli_cli.plan import AxisExpression, AxisMap


@dataclass(frozen=True)
class Take:
    """One direction of a map: `index` of shape `(rows,)` with -1 for none, and `scale` of shape `(rows,)`, or a
    full `matrix` of shape `(rows, columns)`."""

    index: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    matrix: torch.Tensor | None = None

    def apply(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        """Return `tensor` with dimension `dim` taken through the map."""
        if self.matrix is not None:
            matrix = self.matrix.to(tensor)
            product: torch.Tensor = torch.tensordot(tensor, matrix, dims=([dim], [1]))
            return product.movedim(-1, dim)
        if self.index is None:
            return tensor
        index = self.index.to(tensor.device)
        missing = index < 0
        taken = tensor.index_select(dim, index.clamp_min(0)) if tensor.shape[dim] else _zeros(tensor, dim, len(index))
        scale = self.scale.to(tensor) if self.scale is not None else None
        if missing.any():
            scale = (torch.ones(len(index)) if scale is None else scale).to(tensor).masked_fill(missing, 0.0)
        if scale is None:
            return taken
        shape = [1] * tensor.ndim
        shape[dim] = len(index)
        return taken * scale.view(shape)


@dataclass(frozen=True)
class MapValues:
    """Both directions of a map; `None` means that nothing changes."""

    out: Take | None = None
    into: Take | None = None


Importance = Callable[[AxisMap], torch.Tensor]
Rule = Callable[[AxisMap, Importance, torch.Generator], MapValues]


def map_values(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Return the values of `axis_map`: by its explicit index if it has one, else by its rule."""
    if axis_map.index is not None:
        return _explicit(axis_map)
    return RULES.get(axis_map.rule.partition(" ")[0])(axis_map, importance, generator)


def _explicit(axis_map: AxisMap) -> MapValues:
    index = torch.tensor(axis_map.index, dtype=torch.int64)
    if len(index) != axis_map.rows or bool(((index < -1) | (index >= axis_map.columns)).any()):
        found = f" from {int(index.min())} to {int(index.max())}" if len(index) else ""
        raise PlanError(
            f"axis map: expected {axis_map.rows} source indices from -1 to {axis_map.columns - 1}, "
            f"found {len(index)}{found}"
        )
    copies = torch.bincount(index.clamp_min(0), minlength=axis_map.columns).clamp_min(1)
    return MapValues(Take(index), Take(index, 1.0 / copies[index.clamp_min(0)].double()))


def expression_rows(expression: AxisExpression, maps: Sequence[AxisMap]) -> int:
    """Return how many target indices `expression` gives."""
    return _measure(expression, [m.rows for m in maps])


def expression_columns(expression: AxisExpression, maps: Sequence[AxisMap]) -> int:
    """Return how many source indices `expression` takes."""
    return _measure(expression, [m.columns for m in maps])


def _measure(expression: AxisExpression, sizes: Sequence[int]) -> int:
    if isinstance(expression, int):
        return sizes[expression]
    parts = [_measure(child, sizes) for child in expression[1:]]
    total = 1
    for part in parts:
        total *= part
    return sum(parts) if expression[0] == "+" else total


def apply_expression(
    tensor: torch.Tensor,
    dim: int,
    expression: AxisExpression,
    maps: Sequence[AxisMap],
    values: Sequence[MapValues],
    contracted: bool,
) -> torch.Tensor:
    """Return `tensor` with dimension `dim` taken through `expression`, as a consumer of its channels if
    `contracted`."""
    if isinstance(expression, int):
        take = values[expression].into if contracted else values[expression].out
        return tensor if take is None else take.apply(tensor, dim)
    sizes = [_measure(child, [m.columns for m in maps]) for child in expression[1:]]
    if expression[0] == "+":
        parts = torch.split(tensor, sizes, dim)
        return torch.cat(
            [
                apply_expression(part, dim, child, maps, values, contracted)
                for part, child in zip(parts, expression[1:], strict=True)
            ],
            dim,
        )
    result = tensor.reshape(*tensor.shape[:dim], *sizes, *tensor.shape[dim + 1 :])
    for offset, child in enumerate(expression[1:]):
        result = apply_expression(result, dim + offset, child, maps, values, contracted)
    return result.flatten(dim, dim + len(sizes) - 1)


def _zeros(tensor: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    shape = list(tensor.shape)
    shape[dim] = size
    return tensor.new_zeros(shape)
