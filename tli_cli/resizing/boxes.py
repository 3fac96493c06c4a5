"""Boxes: a part of the source placed in a part of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def centred(source: int, target: int) -> tuple[slice, slice]:
    """Return the slices of an axis that put the smaller of two sizes in the middle of the larger one."""
    size = min(source, target)
    return _middle(source, size), _middle(target, size)


def leading(source: int, target: int) -> tuple[slice, slice]:
    """Return the slices of an axis that keep its first indices on both sides."""
    size = min(source, target)
    return slice(0, size), slice(0, size)


def place(values: torch.Tensor, around: torch.Tensor, slices: list[tuple[slice, slice]]) -> torch.Tensor:
    """Return `around` with the source's box of `values` written into the target's box, axis by axis."""
    result = around.clone()
    result[tuple(target for _, target in slices)] = values[tuple(source for source, _ in slices)]
    return result


def surroundings(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Return the target's own start, or values drawn from the source's where there is none.

    Drawing from the source keeps what must hold for every value of a tensor, such as a running variance above zero.
    """
    import torch

    if initial is not None:
        return initial
    index = torch.randint(values.numel(), shape, generator=generator, device=generator.device)
    return values.flatten()[index.to(values.device)]


def _middle(size: int, kept: int) -> slice:
    start = (size - kept) // 2
    return slice(start, start + kept)
