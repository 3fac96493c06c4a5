"""Convolutions of MLX, `(out, *places, in)`, read as torch's `(out, in, *places)`.

Source: `python/mlx/nn/layers/convolution.py` of ml-explore/mlx.
"""

from __future__ import annotations

from math import prod

from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.checkpoints.in_files import InFiles, Part
from tli_cli.checkpoints.layouts.joined import put_together

PLACES_FIRST = "its convolutions are (out, *places, in), as MLX has them, and are read as (out, in, *places)"


def channels_first(checkpoint: Checkpoint) -> Checkpoint | None:
    """Return `checkpoint` with torch's convolutions; None where the shapes do not show that all of them are
    `(out, *places, in)`: kernels are square there, and some are not as torch would read them."""
    shapes = {s.name: s.shape for s in checkpoint.tensors if len(s.shape) in (4, 5) and s.name.endswith(".weight")}
    square = all(len(set(shape[1:-1])) == 1 for shape in shapes.values())
    oblong = sum(len(set(shape[2:])) > 1 for shape in shapes.values())
    if not shapes or not square or 2 * oblong < len(shapes):
        return None
    layouts = {name: _with_channels_first(checkpoint.stored_names[name], shape) for name, shape in shapes.items()}
    read = put_together(checkpoint, layouts, checkpoint.stored_names)
    read.readings, read.channels_last = (*checkpoint.readings, PLACES_FIRST), True
    return read


def _with_channels_first(stored: str, shape: tuple[int, ...]) -> InFiles:
    out, *places, inner = shape
    size = prod(places)
    strides = (inner * size, *(prod(places[dim + 1 :]) for dim in range(len(places))), size)
    return InFiles((out, inner, *places), (Part(stored, shape, 0, strides),))
