"""The clip transfer of DPIAT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.crop import crop
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch


@resizer
def dpiat(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Clip each axis to its centre, the target's own start around it (DPIAT, arXiv 2212.13970, "clip", its default).

    For one tensor this is `crop`: DPIAT differs in what it pairs, and in leaving running statistics behind.
    """
    return crop(values, shape, generator=generator, initial=initial)
