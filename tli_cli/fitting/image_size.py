"""How much smaller made-up images are than a network's own, where these take too long and no weight depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.fitting.work import input_numbers, input_places, work_of
from tli_cli.matching.units import attending_layers

if TYPE_CHECKING:
    import torch

LEAST = 2
"""The least places along a side that the coarsest map of an image may have: of one alone a convolution learns only its
middle."""
SMALLEST = 0.25
"""The least share of a side."""


def image_share(target: Architecture, source: Architecture, numbers: int, minutes: float) -> float:
    """Return what share of their images' sides both networks are shown: the largest with which a fit takes `minutes`,
    the least that there is where none does; 1 where their own are small enough, or either depends on their size.

    `numbers` is how many numbers an image of the target has.
    """
    if not numbers or work_of(target, source, numbers, minutes).suffices or not of_any_size(target, source):
        return 1.0
    side = sqrt(input_places(target) * numbers / input_numbers(target))
    stride = max(_whole_stride(target), _whole_stride(source))
    sides = [stride * count for count in range(int(side / stride), LEAST - 1, -1) if stride * count >= SMALLEST * side]
    shares = [shown / side for shown in sides if shown < side]
    enough = (share for share in shares if work_of(target, source, round(share * share * numbers), minutes).suffices)
    return next(enough, shares[-1] if shares else 1.0)


def of_any_size(target: Architecture, source: Architecture) -> bool:
    """Tell whether both networks take images of any size, as those of convolutions alone do."""
    return _takes_any_size(target) and _takes_any_size(source)


def shortened(sample: Sequence[torch.Tensor], share: float) -> tuple[torch.Tensor, ...]:
    """Return zeros like those of `sample`, images `(batch, channels, height, width)` of that share of the sides."""
    shapes = [
        (*t.shape[:2], *(round(share * side) for side in t.shape[2:])) if t.ndim == 4 else t.shape for t in sample
    ]
    return tuple(t.new_zeros(shape) for t, shape in zip(sample, shapes, strict=True))


def _takes_any_size(architecture: Architecture) -> bool:
    """Tell whether `architecture` takes images and no weight of it is for certain places, nor for windows of them."""
    trees = (axis.tree for axes in architecture.axes.values() for axis in axes)
    placed = any(architecture.spaces[leaf].kind in ("grid", "offsets") for tree in trees for leaf in leaves(tree))
    kernels = [architecture.weight_axes(layer) for layer in architecture.layers if layer.kind == "conv"]
    flat = all(len(axes) == 4 for axes in kernels)  # neither over lines nor over volumes
    return bool(input_places(architecture)) and flat and not placed and not attending_layers(architecture)


def _whole_stride(architecture: Architecture) -> int:
    """Return how many places of an image's side come to one of the coarsest map that it is turned into."""
    found = [layer.attribute("positions", 0) or 0 for layer in architecture.layers if layer.kind == "conv"]
    coarsest = min((places for places in found if places > 1), default=1)
    return max(round(sqrt(input_places(architecture) / coarsest)), 1)
