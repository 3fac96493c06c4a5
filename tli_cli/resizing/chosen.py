"""Index choices: the source's indices of each axis that feed the target's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch

CHANNEL_AXES = 2
"""Output and input channels come first; the axes of a kernel after them have an order to keep."""


@resizer
def select(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Take evenly spaced indices of each axis (weight selection, arXiv 2311.18823), nearest ones when growing."""
    return _chosen(values, shape, _evenly)


@resizer
def tile(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Repeat each axis until it is full (weight cloning, HyperCloning, arXiv 2409.12903), or keep its first indices."""
    return _chosen(values, shape, _repeated)


@resizer
def magnitude(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Keep the channels of largest L1 norm (arXiv 1608.08710; DPIAT's "magnitude", arXiv 2212.13970), else repeat them.

    Each axis is cut in turn, so that inputs are judged by the outputs that were kept. Kernels are selected evenly.
    """
    return _chosen(values, shape, _largest)


def _chosen(
    values: torch.Tensor, shape: tuple[int, ...], choice: Callable[[torch.Tensor, int, int], torch.Tensor]
) -> torch.Tensor:
    """Return `values` in `shape`, of each axis of another size the indices that `choice` gives for it."""
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = values.index_select(axis, choice(values, axis, size).to(values.device))
    return values


def _evenly(values: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """Return indices spread evenly over an axis, each the nearest to its place."""
    import torch

    return (2 * torch.arange(size) + 1) * values.shape[axis] // (2 * size)


def _repeated(values: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """Return the first indices in order, starting over when an axis is used up."""
    import torch

    return torch.arange(size) % values.shape[axis]


def _largest(values: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """Return the indices with the largest sum of absolute values, in their own order."""
    if axis >= CHANNEL_AXES or size > values.shape[axis]:
        return (_evenly if axis >= CHANNEL_AXES else _repeated)(values, axis, size)
    others = [other for other in range(values.ndim) if other != axis]
    weight = values.abs().sum(dim=others) if others else values.abs()
    return weight.argsort(descending=True, stable=True)[:size].sort().values
