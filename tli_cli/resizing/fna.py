"""The parameter remapping of FNA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.boxes import centred, leading, place, surroundings
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch

CHANNEL_AXES = 2


@resizer
def fna(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Keep the first channels and centre kernels among zeros (FNA, arXiv 2001.02525; FNA++, arXiv 2006.12986).

    As in the authors' code, a larger weight is zero outside the source, and a larger vector keeps the target's start.
    """
    pairs = enumerate(zip(values.shape, shape, strict=True))
    slices = [(leading if axis < CHANNEL_AXES else centred)(*sizes) for axis, sizes in pairs]
    around = values.new_zeros(shape) if len(shape) > 1 else surroundings(values, shape, generator, initial)
    return place(values, around, slices)
