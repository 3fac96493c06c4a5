"""Made-up inputs that look a little like data: overlapping shapes, gradients and noise, or random tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.functional import interpolate

from tli_cli.seeding import generator_for


def samples_for(sample: Sequence[torch.Tensor], model: nn.Module, count: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Return `count` made-up inputs for `model`, of the shapes of `sample` but for the batch."""
    generator = generator_for(seed, "made-up inputs")
    made = []
    for tensor in sample:
        shape = tuple(tensor.shape[1:])
        if not tensor.is_floating_point():
            known = vocabulary_of(model)  # rare tokens are rarer than frequent ones, as in text
            made.append((known ** torch.rand(count, shape[0], generator=generator)).long().clamp_max(known - 1))
        elif len(shape) == 3:
            made.append(synthetic_images(count, shape, generator))
        else:
            made.append(synthetic_values(count, shape, generator))
    return tuple(made)


def vocabulary_of(model: nn.Module) -> int:
    """Return how many tokens `model` knows, as its first table tells; 2 where it has none."""
    return next((module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)), 2)


def synthetic_images(count: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Return `count` images of `shape` `(channels, height, width)`, each channel of mean 0 and deviation 1 over all.

    Every image is a smooth ground on which rectangles, ellipses and strokes of random colours lie over one another.
    """
    channels, height, width = shape
    ys = torch.linspace(-1, 1, height).view(1, height, 1)
    xs = torch.linspace(-1, 1, width).view(1, 1, width)
    corners = 0.5 * torch.randn(count, channels, 2, 2, generator=generator) + _colours(count, channels, generator)
    image = interpolate(corners, (height, width), mode="bilinear", align_corners=False)
    for layer in range(6):
        u, v = _turned(ys, xs, count, generator)
        long, short = _draw(generator, count, 0.15, 0.8), _draw(generator, count, 0.08, 0.6)
        mask = _SHAPES[layer % len(_SHAPES)](u, v, long, short)
        colour = _colours(count, channels, generator)
        shown = torch.rand(count, 1, 1, generator=generator) < 0.7
        image = torch.where((mask & shown).unsqueeze(1), colour, image)
    image = image + 0.05 * torch.randn(image.shape, generator=generator)
    mean, scale = image.mean((0, 2, 3), keepdim=True), image.std((0, 2, 3), keepdim=True)
    return (image - mean) / (scale + 1e-6)


def synthetic_values(count: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Return `count` samples of any other `shape`, smooth along their last axis."""
    values = torch.randn(count, *shape, generator=generator)
    if len(shape) >= 2 and shape[-1] >= 8:
        coarse = torch.randn(count, 1, *(max(size // 4, 1) for size in shape), generator=generator)
        if len(shape) <= 3:
            mode = ("linear", "bilinear", "trilinear")[len(shape) - 1]
            values = interpolate(coarse, tuple(shape), mode=mode, align_corners=False)[:, 0] + 0.3 * values
    return values / values.std()


def _draw(generator: torch.Generator, count: int, low: float, high: float) -> torch.Tensor:
    return torch.rand(count, 1, 1, generator=generator) * (high - low) + low


def _colours(count: int, channels: int, generator: torch.Generator) -> torch.Tensor:
    """Return a colour for each image, `(count, channels, 1, 1)`: half of them nearly grey."""
    grey = torch.randn(count, 1, 1, 1, generator=generator)
    own = torch.randn(count, channels, 1, 1, generator=generator)
    share = (torch.rand(count, 1, 1, 1, generator=generator) < 0.5) * 0.8 + 0.1
    return share * grey + (1 - share) * own


def _turned(
    ys: torch.Tensor, xs: torch.Tensor, count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return coordinates `(count, height, width)` around a random centre, turned by a random angle."""
    angle = _draw(generator, count, 0.0, 6.2832)
    dy, dx = ys - _draw(generator, count, -0.8, 0.8), xs - _draw(generator, count, -0.8, 0.8)
    return dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()


def _stroke(u: torch.Tensor, v: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (u.abs() < a) & (v.abs() < 0.25 * b)


_SHAPES: tuple[Callable[..., torch.Tensor], ...] = (
    lambda u, v, a, b: (u.abs() < a) & (v.abs() < b),
    _stroke,
    lambda u, v, a, b: (u / a) ** 2 + (v / b) ** 2 < 1,
    _stroke,
    lambda u, v, a, b: ((u**2 + v**2).sqrt() - a).abs() < 0.3 * b,
    _stroke,
)
"""What lies in a rectangle, an ellipse, a ring, and between these in a stroke, of half sides `a` and `b`."""


def drawn_classes(
    count: int, shape: Sequence[int], classes: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `count` images of `shape` `(channels, height, width)` of made-up characters, and the class of each.

    A character is four lines, which are turned, moved, scaled and coloured anew on every image.
    """
    channels, height, width = shape
    ends = 1.6 * torch.rand(classes, 4, 4, generator=generator) - 0.8
    labels = torch.randint(classes, (count,), generator=generator)
    ys = torch.linspace(-1, 1, height).view(1, height, 1)
    xs = torch.linspace(-1, 1, width).view(1, 1, width)
    angle, size = _draw(generator, count, -0.3, 0.3), _draw(generator, count, 0.9, 1.3)
    dx, dy = xs * size - _draw(generator, count, -0.2, 0.2), ys * size - _draw(generator, count, -0.2, 0.2)
    u, v = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
    reach = _draw(generator, count, 0.1, 0.18)
    mask = torch.zeros(count, height, width)
    for line in ends[labels].unbind(1):
        ax, ay, bx, by = line[:, :, None, None].unbind(1)
        along = (((u - ax) * (bx - ax) + (v - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2 + 1e-6)).clamp(0, 1)
        apart = ((u - ax - along * (bx - ax)) ** 2 + (v - ay - along * (by - ay)) ** 2).sqrt()
        mask = torch.maximum(mask, ((reach - apart) / 0.1 + 0.5).clamp(0, 1))
    ground = torch.randn(count, channels, 1, 1, generator=generator)
    darker = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, -1.0, 1.0)
    ink = darker * (1 + torch.rand(count, channels, 1, 1, generator=generator))
    image = ground + ink * mask.unsqueeze(1) + 0.2 * torch.randn(count, channels, height, width, generator=generator)
    mean, scale = image.mean((0, 2, 3), keepdim=True), image.std((0, 2, 3), keepdim=True)
    return (image - mean) / (scale + 1e-6), labels


def marked_classes(
    kinds: torch.Tensor, ground: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of `ground` `(count, *shape)`, each marked by one of `kinds` `(classes, *shape)`, and by which.

    A kind is moved a little along the last axis, but in a vector. It is added to twice as small a ground; of tokens it
    takes the places of three in ten.
    """
    labels = torch.randint(len(kinds), ground.shape[:1], generator=generator)
    shown, length = kinds[labels], ground.shape[-1]
    floating, far = ground.is_floating_point(), length // 8
    if ground.ndim > 2 or not floating:
        moved = torch.randint(-far, far + 1, (len(ground), *[1] * (ground.ndim - 1)), generator=generator)
        shown = shown.gather(-1, ((torch.arange(length) + moved) % length).expand(shown.shape))
    if floating:
        return shown + 0.5 * ground, labels
    return torch.where(torch.rand(ground.shape, generator=generator) < 0.3, shown, ground), labels
