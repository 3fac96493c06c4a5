"""The paper's mix of centre crop and interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.crop import crop
from tli_cli.resizing.interpolation import resize
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch

CROP_SHARE = 0.75
"""The paper's lambda."""


@resizer
def combo(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Mix 0.75 of the centre crop with 0.25 of the interpolation (arXiv 2101.02757, "ComboInjection")."""
    cropped = crop(values, shape, generator=generator, initial=initial)
    return CROP_SHARE * cropped + (1 - CROP_SHARE) * resize(values, shape, generator=generator)
