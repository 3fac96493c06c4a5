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


def like_tokens(image: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return `image` as tokens of `shape` `(samples, tokens, channels)`: NaN where no place stands behind one."""
    result = torch.full(shape, torch.nan, dtype=image.dtype, device=image.device)
    side = _side(shape[1])
    places = resized(image, torch.Size((side, side) if side else (shape[1], 1))).flatten(2).transpose(1, 2)
    result[:, result.shape[1] - places.shape[1] :] = places
    return result


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


def coarser(image: torch.Tensor, other: torch.Tensor) -> torch.Size:
    """Return the size of the grid on which two batches of images can be held against each other by averaging."""
    return torch.Size(min(sides) for sides in zip(image.shape[2:], other.shape[2:], strict=True))


def cells(value: torch.Tensor, dim: int, size: torch.Size) -> torch.Tensor:
    """Return `value`, whose channels are on dimension `dim`, averaged to a grid of `size`, as `(samples x cells,
    channels)`."""
    image = as_image(value, dim)
    assert image is not None
    return as_rows(resized(image, size))


def as_rows(image: torch.Tensor) -> torch.Tensor:
    """Return images as `(samples x places, channels)`."""
    return image.movedim(1, -1).flatten(0, -2)
