"""Characters drawn from the fonts that matplotlib ships, as small colour images."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

SIDE = 16
MASK_SIDE = 40
FONTS = [
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
]


@lru_cache
def _masks(characters: str, side: int) -> torch.Tensor:
    """Return every character in every font as `(characters, fonts, side, side)` in [0, 1]."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    rows = [[_mask(character, folder / f"{font}.ttf", side) for font in FONTS] for character in characters]
    return torch.from_numpy(np.asarray(rows, dtype=np.float32) / 255)


def _mask(character: str, font: Path, side: int) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (side, side))
    drawn = ImageFont.truetype(str(font), side * 3 // 4)
    ImageDraw.Draw(image).text((side / 2, side / 2), character, fill=255, font=drawn, anchor="mm")
    return np.asarray(image)


def draw(characters: str, count: int, seed: int, side: int = SIDE) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `count` images `(count, 3, side, side)` and the index of the character on each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(characters), (count,), generator=generator)
    fonts = torch.randint(len(FONTS), (count,), generator=generator)
    masks = _masks(characters, side * MASK_SIDE // SIDE)[labels, fonts].unsqueeze(1)
    return colour(place(masks, generator, side), generator), labels


def place(masks: torch.Tensor, generator: torch.Generator, side: int = SIDE) -> torch.Tensor:
    """Rotate, scale, shear and shift the square masks `(count, 1, ...)` at random, down to `side`."""
    count = len(masks)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, shear = uniform(-0.3, 0.3), uniform(-0.2, 0.2)
    across, along = uniform(0.55, 0.8), uniform(0.55, 0.8)
    first = torch.stack([across * angle.cos(), along * (shear - angle.sin()), uniform(-0.12, 0.12)], dim=1)
    second = torch.stack([across * angle.sin(), along * angle.cos(), uniform(-0.12, 0.12)], dim=1)
    grid = affine_grid(torch.stack([first, second], dim=1), [count, 1, 2 * side, 2 * side], align_corners=False)
    return avg_pool2d(grid_sample(masks, grid, align_corners=False), 2)


def colour(masks: torch.Tensor, generator: torch.Generator, contrast: float = 0.4) -> torch.Tensor:
    """Paint masks `(count, 1, side, side)` darker than their ground by at least `contrast`, and add noise."""
    count = len(masks)
    paper = torch.rand(count, 3, 1, 1, generator=generator) * 0.7 + 0.3
    ink = paper - contrast - torch.rand(count, 3, 1, 1, generator=generator) * 0.4
    noise = torch.randn(count, 3, *masks.shape[2:], generator=generator) * 0.12
    return (paper + (ink - paper) * masks + noise - 0.5) / 0.35
