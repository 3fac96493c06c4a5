"""Weights of which a length and a direction are stored (weight normalisation, arXiv 1602.07868)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tli_cli.injection.in_memory import computed


def length_of(weight: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return the Euclidean lengths of `weight`, one for each place of `shape`, which has its axes, those of size 1 for
    the ones that are summed over, or none."""
    summed = [dim for dim in range(weight.ndim) if not shape or shape[dim] == 1]
    held = computed(weight)
    return (held.square().sum(summed, keepdim=True).sqrt() if summed else held.abs()).reshape(tuple(shape))


def lengthened(direction: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Return `direction` with `length`; where it has none of its own, zero."""
    own = length_of(direction, length.shape)
    factor = torch.where(own > 0, computed(length).to(own.device) / own, torch.zeros_like(own))
    return (computed(direction) * factor).to(direction.dtype)
