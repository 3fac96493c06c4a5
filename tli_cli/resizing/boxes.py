"""Resizers that keep where values stand: boxes placed in boxes, and interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.resizing.working import resizer

if TYPE_CHECKING:
    import torch


@resizer
def resize(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Interpolate linearly along each axis, with pixel centres aligned (arXiv 2101.02757, "resize")."""
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = _along(values, axis, size)
    return values


def _along(values: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    import torch

    last = values.shape[axis] - 1
    position = (torch.arange(size, dtype=values.dtype, device=values.device) + 0.5) * ((last + 1) / size) - 0.5
    position = position.clamp(0, last)
    below = position.floor().long()
    share = (position - below).reshape([-1 if other == axis else 1 for other in range(values.ndim)])
    upper = values.index_select(axis, (below + 1).clamp(max=last))
    return torch.lerp(values.index_select(axis, below), upper, share)


CROP_SHARE = 0.75
"""The paper's lambda."""
CHANNEL_AXES = 2


@resizer
def crop(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Take the source's centre on each axis, or place it in the target's centre (arXiv 2101.02757, "center crop").

    Where the target is larger, its own start stays around the source, as in the paper's code. For one tensor this is
    DPIAT's "clip", its default (arXiv 2212.13970), which differs in what it pairs, and leaves running statistics
    behind.
    """
    slices = [_centred(source, target) for source, target in zip(values.shape, shape, strict=True)]
    return _placed(values, _surroundings(values, shape, generator, initial), slices)


@resizer
def combo(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Mix 0.75 of the centre crop with 0.25 of the interpolation (arXiv 2101.02757, "ComboInjection")."""
    cropped = crop(values, shape, generator=generator, initial=initial)
    return CROP_SHARE * cropped + (1 - CROP_SHARE) * resize(values, shape, generator=generator)


@resizer
def fna(
    values: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator, initial: torch.Tensor | None
) -> torch.Tensor:
    """Keep the first channels and centre kernels among zeros (FNA, arXiv 2001.02525; FNA++, arXiv 2006.12986).

    As in the authors' code, a larger weight is zero outside the source, and a larger vector keeps the target's start.
    """
    pairs = enumerate(zip(values.shape, shape, strict=True))
    slices = [(_leading if axis < CHANNEL_AXES else _centred)(*sizes) for axis, sizes in pairs]
    around = values.new_zeros(shape) if len(shape) > 1 else _surroundings(values, shape, generator, initial)
    return _placed(values, around, slices)


def _centred(source: int, target: int) -> tuple[slice, slice]:
    """Return the slices of an axis that put the smaller of two sizes in the middle of the larger one."""
    size = min(source, target)
    here, there = (source - size) // 2, (target - size) // 2
    return slice(here, here + size), slice(there, there + size)


def _leading(source: int, target: int) -> tuple[slice, slice]:
    """Return the slices of an axis that keep its first indices on both sides."""
    size = min(source, target)
    return slice(0, size), slice(0, size)


def _placed(values: torch.Tensor, around: torch.Tensor, slices: list[tuple[slice, slice]]) -> torch.Tensor:
    """Return `around` with the source's box of `values` written into the target's box, axis by axis."""
    result = around.clone()
    result[tuple(target for _, target in slices)] = values[tuple(source for source, _ in slices)]
    return result


def _surroundings(
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
