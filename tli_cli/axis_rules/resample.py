"""Rules that resample an axis of positions."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from tli_cli.axes import Importance, MapValues, Take
from tli_cli.plan import AxisMap


def grid(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Resample positions by antialiased bicubic interpolation, axis by axis, as timm's `resample_abs_pos_embed`
    does."""
    take = Take(matrix=_resampling(axis_map.rows, axis_map.columns))
    return MapValues(take, take)


def patch(axis_map: AxisMap, importance: Importance, generator: torch.Generator) -> MapValues:
    """Resize a patch embedding's kernel by the pseudo-inverse of the image's resize (FlexiViT, arXiv 2212.08013)."""
    resize = _resampling(axis_map.rows, axis_map.columns)
    take = Take(matrix=torch.linalg.pinv(resize.T))
    return MapValues(take, take)


def _resampling(rows: int, columns: int) -> torch.Tensor:
    """Return the `(rows, columns)` matrix of antialiased bicubic interpolation."""
    basis = torch.eye(columns, dtype=torch.float32).view(columns, 1, columns, 1)
    resized = functional.interpolate(basis, size=(rows, 1), mode="bicubic", antialias=True, align_corners=False)
    return resized.view(columns, rows).T.double()
