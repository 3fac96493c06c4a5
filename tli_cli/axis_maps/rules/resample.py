"""Rules that resample an axis of positions."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from tli_cli.axis_maps.take import MapValues, Read, Take
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws


def grid(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Resample positions by antialiased bicubic interpolation, axis by axis, as timm's `resample_abs_pos_embed` does.

    What sums over the positions is scaled, so that it gives the same for the same value everywhere.
    """
    matrix = _resampling(axis_map.rows, axis_map.columns).numpy()
    return MapValues(Take(matrix=matrix), Take(matrix=matrix * (axis_map.columns / axis_map.rows)))


def patch(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Resize a patch embedding's kernel by the pseudo-inverse of the image's resize (FlexiViT, arXiv 2212.08013)."""
    resize = _resampling(axis_map.rows, axis_map.columns)
    return MapValues.both(Take(matrix=torch.linalg.pinv(resize.T).numpy()))


def offsets(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Interpolate a table of relative positions on a geometric scale, so that near offsets keep their values (BEiT,
    arXiv 2106.08254), linearly as timm's `resize_rel_pos_bias_table` does."""
    if axis_map.columns < 3 or axis_map.columns % 2 == 0:
        return grid(axis_map, read, draws)  # no table of offsets to both sides of zero
    known = _geometric(axis_map.columns, axis_map.rows)
    wanted = torch.arange(axis_map.rows, dtype=torch.float64) - axis_map.rows // 2
    wanted = wanted.clamp(known[0], known[-1])
    right = torch.bucketize(wanted, known).clamp(1, axis_map.columns - 1)
    share = (wanted - known[right - 1]) / (known[right] - known[right - 1])
    matrix = torch.zeros(axis_map.rows, axis_map.columns, dtype=torch.float64)
    rows = torch.arange(axis_map.rows)
    matrix[rows, right - 1] = 1 - share
    matrix[rows, right] = share
    return MapValues.both(Take(matrix=matrix.numpy()))


def _geometric(columns: int, rows: int) -> torch.Tensor:
    """Return where the `(columns,)` known offsets lie so that they reach as far as `rows` wanted ones."""
    low, high, reach = 1.01, 1.5, columns // 2
    ratio = low
    while high - low > 1e-6:
        ratio = (low + high) / 2
        low, high = (low, ratio) if (1 - ratio**reach) / (1 - ratio) > rows // 2 else (ratio, high)
    steps = torch.tensor([ratio**i for i in range(reach)], dtype=torch.float64).cumsum(0)
    return torch.cat([-steps.flip(0), torch.zeros(1, dtype=torch.float64), steps])


def _resampling(rows: int, columns: int) -> torch.Tensor:
    """Return the `(rows, columns)` matrix of antialiased bicubic interpolation."""
    basis = torch.eye(columns, dtype=torch.float32)[None, None]
    resized = functional.interpolate(basis, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False)
    return resized[0, 0].double()
