"""Even selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.indices import evenly
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch


@resizer
def select(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Take evenly spaced indices of each axis (weight selection, arXiv 2311.18823), nearest ones when growing."""
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = values.index_select(axis, evenly(values.shape[axis], size).to(values.device))
    return values
