"""Index choices: which source index feeds each target index of one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def evenly(source: int, target: int) -> torch.Tensor:
    """Return `target` indices spread evenly over `source`, each the nearest to its place."""
    import torch

    return (2 * torch.arange(target) + 1) * source // (2 * target)


def repeated(source: int, target: int) -> torch.Tensor:
    """Return the first indices in order, starting over when `source` is used up."""
    import torch

    return torch.arange(target) % source


def largest(values: torch.Tensor, axis: int, target: int) -> torch.Tensor:
    """Return the `target` indices of `axis` with the largest sum of absolute values, in their own order."""
    others = [other for other in range(values.ndim) if other != axis]
    weight = values.abs().sum(dim=others) if others else values.abs()
    order = weight.argsort(descending=True, stable=True)
    return order[:target].sort().values
