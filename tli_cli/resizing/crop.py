"""The centre crop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.boxes import centred, place, surroundings
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch


@resizer
def crop(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Take the source's centre on each axis, or place it in the target's centre (arXiv 2101.02757, "center crop").

    Where the target is larger, its own start stays around the source, as in the paper's code.
    """
    slices = [centred(source, target) for source, target in zip(values.shape, shape, strict=True)]
    return place(values, surroundings(values, shape, generator, initial), slices)
