"""Linear interpolation along every axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch


@resizer
def resize(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Interpolate linearly along each axis, with pixel centres aligned (arXiv 2101.02757, "resize")."""
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = _along(values, axis, size)
    return values


def _along(values: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    import torch

    last = values.shape[axis] - 1
    position = (torch.arange(size, dtype=values.dtype, device=values.device) + 0.5) * ((last + 1) / size) - 0.5
    position = position.clamp(0, last)
    below = position.floor().long()
    share = (position - below).reshape([-1 if other == axis else 1 for other in range(values.ndim)])
    upper = values.index_select(axis, (below + 1).clamp(max=last))
    return torch.lerp(values.index_select(axis, below), upper, share)
