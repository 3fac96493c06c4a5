"""Values of any layout as images `(samples, channels, height, width)`, and back."""

from __future__ import annotations

import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate


def as_image(value: torch.Tensor, dim: int) -> torch.Tensor | None:
    """Return `value`, whose channels are on dimension `dim`, as images; None where its places form no grid.

    Tokens whose number is one above a square lose the first one (a class token); other sequences become one wide.
    """
    if value.ndim == 2:
        return value[:, :, None, None]
    if value.ndim not in (3, 4):
        return None
    moved = value.movedim(dim, 1)
    if moved.ndim == 4:
        return moved
    side = _side(moved.shape[2])
    if side is None:
        return moved.unsqueeze(3)
    places = moved[:, :, moved.shape[2] - side * side :]
    return places.reshape(*places.shape[:2], side, side)


def like_value(image: torch.Tensor, shape: torch.Size, dim: int) -> torch.Tensor:
    """Return `image` in the layout of a value of `shape` with its channels on `dim`: NaN where no image stands
    behind it."""
    result = torch.full(shape, torch.nan, dtype=image.dtype, device=image.device).movedim(dim, 1)
    if result.ndim == 2:
        result.copy_(image[:, :, 0, 0])
    elif result.ndim == 4:
        result.copy_(image)
    else:
        flat = image.flatten(2)
        result[:, :, result.shape[2] - flat.shape[2] :] = flat
    return result.movedim(1, dim)


def _side(count: int) -> int | None:
    """Return the side of the square of `count` tokens, with or without a class token; None if it is no square."""
    for places in (count, count - 1):
        side = int(max(places, 0) ** 0.5 + 0.5)
        if side > 1 and side * side == places:
            return side
    return None


def resized(image: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Return `image` at another resolution: averaged down, interpolated up."""
    height, width = size
    if image.shape[2:] == size:
        return image
    if image.shape[2] >= height and image.shape[3] >= width:
        return adaptive_avg_pool2d(image, (height, width))
    return interpolate(image, (height, width), mode="bilinear", align_corners=False)
