"""Values of any layout as images `(samples, channels, height, width)`, and back."""

from __future__ import annotations

from math import isqrt

import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate


def as_image(value: torch.Tensor, dim: int) -> torch.Tensor | None:
    """Return `value`, whose channels are on dimension `dim`, as images; None where its places form no grid.

    Tokens whose number is one above a square lose the first one (a class token); other sequences become one wide, and
    so does what a convolution over a line gives, whose channels are not last.
    """
    if value.ndim == 2:
        return value[:, :, None, None]
    if value.ndim not in (3, 4):
        return None
    moved = value.movedim(dim, 1)
    if moved.ndim == 4:
        return moved
    sides = [isqrt(count) for count in (moved.shape[2], moved.shape[2] - 1) if count > 1 and isqrt(count) ** 2 == count]
    if not sides or dim == 1:
        return moved.unsqueeze(3)
    side = sides[0]
    places = moved[:, :, moved.shape[2] - side * side :]
    return places.reshape(*places.shape[:2], side, side)


def like_value(image: torch.Tensor, shape: torch.Size, dim: int) -> torch.Tensor:
    """Return `image` in the layout of a value of `shape` with its channels on `dim`: NaN where there is none."""
    moved = torch.empty(shape, device="meta").movedim(dim, 1).shape
    result = torch.full((*moved[:2], moved[2:].numel()), torch.nan, dtype=image.dtype, device=image.device)
    result[:, :, result.shape[2] - image.shape[2:].numel() :] = image.flatten(2)
    return result.reshape(moved).movedim(1, dim)


def resized(image: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Return `image` at another resolution: averaged down, interpolated up; as many places are the same ones."""
    height, width = size
    if image.shape[2:].numel() == size.numel():
        return image.reshape(*image.shape[:2], height, width)
    if image.shape[2] >= height and image.shape[3] >= width:
        return adaptive_avg_pool2d(image, (height, width))
    return interpolate(image, (height, width), mode="bilinear", align_corners=False)
