"""Repetition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.indices import repeated
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch


@resizer
def tile(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Repeat each axis until it is full (weight cloning, HyperCloning, arXiv 2409.12903), or keep its first indices."""
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = values.index_select(axis, repeated(values.shape[axis], size).to(values.device))
    return values
