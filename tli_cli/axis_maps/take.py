"""The values of an axis map, and their application to one dimension of a tensor.

A map takes target indices from source indices twice over: `out` for axes that produce the channels, `into` for axes
that sum over them. If `x' = out x` are the target's channels, a consumer's weight becomes `w into`, so that `w into
x' = w x` wherever channels are only added (Net2Net, arXiv 1511.05641; LEMON, arXiv 2310.07999).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tli_cli.axis_maps.mixtures import Mixtures, with_size
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws

if TYPE_CHECKING:
    import torch


MEAN = -2
"""In place of a source index: the mean of all source indices."""


@dataclass(frozen=True)
class Take:
    """One direction of a map, in arrays of numpy: `index` of shape `(rows,)`, with -1 for none, `MEAN` for the mean of
    all and `MIXED` for those of `mixed`, and `scale` of shape `(rows,)`; or a full `matrix` of shape `(rows, columns)`.
    """

    index: Any = None
    scale: Any = None
    matrix: Any = None
    mixed: Mixtures | None = None

    def apply(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        """Return `tensor` with dimension `dim` taken through the map."""
        import torch

        if self.matrix is not None:
            matrix = torch.from_numpy(self.matrix).to(tensor)
            product: torch.Tensor = torch.tensordot(tensor, matrix, dims=([dim], [1]))
            return product.movedim(-1, dim)
        if self.index is None:
            return tensor
        index = torch.from_numpy(self.index).to(tensor.device)
        missing, averaged = index == -1, index == MEAN
        none = with_size(tensor.shape, dim, len(index))
        taken = tensor.index_select(dim, index.clamp_min(0)) if tensor.shape[dim] else tensor.new_zeros(none)
        if averaged.any():
            taken = taken.index_copy(dim, averaged.nonzero()[:, 0], _means(tensor, dim, int(averaged.sum())))
        if self.mixed is not None:
            taken = self.mixed.put(tensor, dim, taken)
        scale = torch.from_numpy(self.scale).to(tensor) if self.scale is not None else None
        if missing.any():
            scale = (torch.ones(len(index)) if scale is None else scale).to(tensor).masked_fill(missing, 0.0)
        if scale is None:
            return taken
        return taken * scale.view(with_size((1,) * tensor.ndim, dim, len(index)))


@dataclass(frozen=True)
class MapValues:
    """Both directions of a map; `None` means that nothing changes.

    `parted`, of shape `(PHASES, rows)`, are the factors by which what sums over the channels reads copies of one
    channel differently (`tli_cli.axis_maps.parting`).
    """

    out: Take | None = None
    into: Take | None = None
    parted: Any = None

    @classmethod
    def both(cls, take: Take) -> MapValues:
        """Return the map that does the same in both directions."""
        return cls(take, take)


def shares(index: Any, columns: int) -> Any:
    """Return an even share for each of the copies that `index`, of shape `(rows,)`, takes of one of `columns`."""
    return 1.0 / np.bincount(index, minlength=columns)[index]


Read = Callable[[int, str], "torch.Tensor"]
"""Give a tensor by the number of its source and by its name."""

Rule = Callable[[AxisMap, Read, Draws], MapValues]


def _means(tensor: torch.Tensor, dim: int, count: int) -> torch.Tensor:
    """Return the mean of `tensor` along `dim`, `count` times."""
    return tensor.mean(dim, keepdim=True).expand(with_size(tensor.shape, dim, count))
