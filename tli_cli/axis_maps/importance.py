"""How much each channel of a coupled group matters, and each direction between its channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tli_cli.axis_maps.take import Read
from tli_cli.pieces import AxisMap

if TYPE_CHECKING:
    import torch

_AT_ONCE = 1 << 24
"""Values of a member that are computed with at once."""


def group_importance(axis_map: AxisMap, read: Read) -> Any:
    """Return a weight for each source index, `(columns,)`: squared norms over all members, each one's mean set to one.

    A member is the part of one source tensor that runs over the channels (DepGraph, arXiv 2301.12900).
    """
    import torch

    total = torch.zeros(axis_map.columns, dtype=torch.float64)
    for part in _parts(axis_map, read):
        squared = part.float().pow(2).sum(dim=(0, 2, 3)).double().cpu()
        mean = squared.mean()
        if bool(mean > 0) and bool(torch.isfinite(mean)):
            total += squared / mean
    return total.numpy()


def group_gram(axis_map: AxisMap, read: Read, *, centred: bool = False) -> torch.Tensor:
    """Return what the members have along each two source indices, of shape `(columns, columns)`: the sum of their Gram
    matrices, each divided by its member's norm, so that large members weigh more, but not by their squares; `centred`
    without the means over the channels."""
    import torch

    total = torch.zeros(axis_map.columns, axis_map.columns, dtype=torch.float64)
    for part in _parts(axis_map, read):
        rows = part.movedim(1, 0).reshape(axis_map.columns, -1)
        gram = torch.zeros_like(total)
        width = max(1, _AT_ONCE // axis_map.columns)
        for first in range(0, rows.shape[1], width):
            values = rows[:, first : first + width].float()
            values = values - values.mean(0) if centred else values
            gram += (values @ values.T).double().cpu()
        length = gram.trace().sqrt()
        if bool(length > 0) and bool(torch.isfinite(length)):
            total += gram / length
    return total


def _parts(axis_map: AxisMap, read: Read) -> Iterator[torch.Tensor]:
    """Yield the members, each `(outer, columns, inner, others)`."""
    for model, name, axis, start, stop, outer, inner in axis_map.members:
        tensor = read(int(model), str(name))
        if tensor.is_floating_point():
            part = tensor.narrow(axis, start, stop - start).movedim(axis, 0)
            yield part.reshape(outer, axis_map.columns, inner, -1)
