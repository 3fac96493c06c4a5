"""Drawn shapes filled with stripes: ten classes that no alphabet holds."""

from __future__ import annotations

import torch

from benchmarks.convergence.glyphs import MASK_SIDE, colour, place

NAMES = ("disc", "ring", "square", "frame", "triangle", "cross", "saltire", "star", "crescent", "bars")


def _canvas() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    line = torch.linspace(-1, 1, MASK_SIDE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y, (x**2 + y**2).sqrt(), torch.atan2(y, x)


def _shape_masks() -> torch.Tensor:
    x, y, radius, angle = _canvas()
    box = torch.maximum(x.abs(), y.abs())
    plus = (torch.minimum(x.abs(), y.abs()) < 0.18) & (box < 0.65)
    saltire = (torch.minimum((x - y).abs(), (x + y).abs()) < 0.26) & (box < 0.6)
    masks = [
        radius < 0.6,
        (radius < 0.65) & (radius > 0.38),
        box < 0.52,
        (box < 0.6) & (box > 0.34),
        (y < 0.5) & (y > 1.9 * x.abs() - 0.65),
        plus,
        saltire,
        radius < 0.45 + 0.2 * (5 * angle).cos(),
        (radius < 0.65) & (((x - 0.3) ** 2 + y**2).sqrt() > 0.48),
        (box < 0.6) & ((y * 5).sin() > 0),
    ]
    return torch.stack(masks).float()


def draw_shapes(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `count` images `(count, 3, side, side)` of striped shapes and the class of each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(NAMES), (count,), generator=generator)
    x, y, _, _ = _canvas()
    turn = torch.rand(count, 1, 1, generator=generator) * 3.14
    phase = torch.rand(count, 1, 1, generator=generator) * 6.28
    stripes = ((x * turn.cos() + y * turn.sin()) * 9 + phase).sin() * 0.3 + 0.7
    masks = (_shape_masks()[labels] * stripes).unsqueeze(1)
    return colour(place(masks, generator), generator, contrast=0.25), labels
