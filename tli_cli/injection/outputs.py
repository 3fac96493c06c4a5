"""What models give, and how far two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tli_cli.errors import TliError


def output_of(value: Any) -> torch.Tensor:
    """Return the main tensor in what a model gives: itself, its `logits`, or the first of several."""
    while not isinstance(value, torch.Tensor):
        if hasattr(value, "logits"):
            value = value.logits
        elif isinstance(value, Mapping) and value:
            value = next(iter(value.values()))
        elif isinstance(value, (tuple, list)) and value:
            value = value[0]
        else:
            raise TliError(f"--verify: cannot compare outputs of type {type(value).__name__}")
    return value


def outputs_of(value: Any) -> list[torch.Tensor]:
    """Return all floating tensors in what a model gives, by their shapes: two libraries may order their heads
    differently."""
    return sorted(_floating(value), key=lambda tensor: tuple(tensor.shape))


def _floating(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, (Mapping, tuple, list)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _floating(part)


def have_shapes(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    """Tell whether both hold tensors of the same shapes in the same order, and at least one."""
    return bool(some) and [t.shape for t in some] == [t.shape for t in others]


def difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    """Return the largest difference between two tensors of one shape, over the largest value of the first; infinite
    where one of them is not finite in a place where the other one is.

    >>> difference(torch.tensor([1.0, -2.0]), torch.tensor([1.0, -1.0]))
    0.5
    """
    expected, found = expected.double().cpu(), found.double().cpu()
    usable = expected.isfinite()
    if not torch.equal(usable, found.isfinite()):
        return float("inf")
    scale = float(expected[usable].abs().max()) if usable.any() else 0.0
    apart = float((expected - found)[usable].abs().max()) if usable.any() else 0.0
    return apart / max(scale, torch.finfo(torch.float64).tiny)
