"""Selection by magnitude."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.indices import evenly, largest, repeated
from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch

CHANNEL_AXES = 2
"""Output and input channels come first; the axes of a kernel after them have an order to keep."""


@resizer
def magnitude(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Keep the channels of largest L1 norm (arXiv 1608.08710; DPIAT's "magnitude", arXiv 2212.13970), else repeat them.

    Each axis is cut in turn, so that inputs are judged by the outputs that were kept. Kernels are selected evenly.
    """
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = values.index_select(axis, _choice(values, axis, size).to(values.device))
    return values


def _choice(values: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    if axis >= CHANNEL_AXES:
        return evenly(values.shape[axis], size)
    if size > values.shape[axis]:
        return repeated(values.shape[axis], size)
    return largest(values, axis, size)
