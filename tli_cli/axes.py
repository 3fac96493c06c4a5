"""Axis maps at work: the values of each map, and their application to the axes of a tensor.

A map takes target indices from source indices twice over: `out` for axes that produce the channels, `into` for axes
that sum over them. If `x' = out x` are the target's channels, a consumer's weight becomes `w into`, so that `w into
x' = w x` wherever channels are only added (Net2Net, arXiv 1511.05641; LEMON, arXiv 2310.07999).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tli_cli.axis_rules import RULES
from tli_cli.errors import PlanError
from tli_cli.plan import AxisExpression, AxisMap, Plan
from tli_cli.seeding import Draws, draws_for

if TYPE_CHECKING:
    import torch


MEAN = -2
"""In place of a source index: the mean of all source indices."""


@dataclass(frozen=True)
class Take:
    """One direction of a map, in arrays of numpy: `index` of shape `(rows,)`, with -1 for none and `MEAN` for the mean
    of all, and `scale` of shape `(rows,)`; or a full `matrix` of shape `(rows, columns)`."""

    index: Any = None
    scale: Any = None
    matrix: Any = None

    def apply(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        """Return `tensor` with dimension `dim` taken through the map."""
        import torch

        if self.matrix is not None:
            matrix = torch.from_numpy(self.matrix).to(tensor)
            product: torch.Tensor = torch.tensordot(tensor, matrix, dims=([dim], [1]))
            return product.movedim(-1, dim)
        if self.index is None:
            return tensor
        index = torch.from_numpy(self.index).to(tensor.device)
        missing, averaged = index == -1, index == MEAN
        taken = tensor.index_select(dim, index.clamp_min(0)) if tensor.shape[dim] else _zeros(tensor, dim, len(index))
        if averaged.any():
            taken = taken.index_copy(dim, averaged.nonzero()[:, 0], _means(tensor, dim, int(averaged.sum())))
        scale = torch.from_numpy(self.scale).to(tensor) if self.scale is not None else None
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


Importance = Callable[[AxisMap], Any]
"""Give a weight for each source index of a map, an array of shape `(columns,)`."""

Rule = Callable[[AxisMap, Importance, Draws], MapValues]


class PlanMaps(Sequence[MapValues]):
    """The values of a plan's maps; each is computed when it is first asked for, and kept."""

    def __init__(self, plan: Plan, importance: Importance) -> None:
        self._plan, self._importance = plan, importance
        self._known: dict[int, MapValues] = {}

    def __getitem__(self, index: int) -> MapValues:  # type: ignore[override]
        if index not in self._known:
            draws = draws_for(self._plan.seed, f"map {index}")
            self._known[index] = map_values(self._plan.maps[index], self._importance, draws)
        return self._known[index]

    def __len__(self) -> int:
        return len(self._plan.maps)


def map_values(axis_map: AxisMap, importance: Importance, draws: Draws) -> MapValues:
    """Return the values of `axis_map`: by its explicit index if it has one, else by its rule."""
    if axis_map.index is not None:
        return _explicit(axis_map)
    return RULES.get(axis_map.rule.partition(" ")[0])(axis_map, importance, draws)


def _explicit(axis_map: AxisMap) -> MapValues:
    import numpy as np

    index = np.array(axis_map.index, dtype=np.int64)
    if len(index) != axis_map.rows or bool(((index < -1) | (index >= axis_map.columns)).any()):
        found = f" from {int(index.min())} to {int(index.max())}" if len(index) else ""
        raise PlanError(
            f"axis map: expected {axis_map.rows} source indices from -1 to {axis_map.columns - 1}, "
            f"found {len(index)}{found}"
        )
    copies = np.bincount(index.clip(0), minlength=axis_map.columns).clip(1)
    return MapValues(Take(index), Take(index, 1.0 / copies[index.clip(0)]))


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
    import torch

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


def _means(tensor: torch.Tensor, dim: int, count: int) -> torch.Tensor:
    """Return the mean of `tensor` along `dim`, `count` times."""
    shape = list(tensor.shape)
    shape[dim] = count
    return tensor.mean(dim, keepdim=True).expand(shape)


def _zeros(tensor: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    shape = list(tensor.shape)
    shape[dim] = size
    return tensor.new_zeros(shape)
