"""How much each channel of a coupled group matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tli_cli.plan import AxisMap

if TYPE_CHECKING:
    import torch


def group_importance(axis_map: AxisMap, read: Callable[[int, str], torch.Tensor]) -> Any:
    """Return a weight for each source index, an array `(columns,)`: squared norms over all members, each one's mean set
    to one.

    A member is the part of one source tensor that runs over the channels (DepGraph, arXiv 2301.12900).
    """
    import torch

    total = torch.zeros(axis_map.columns, dtype=torch.float64)
    for model, name, axis, start, stop, outer, inner in axis_map.members:
        tensor = read(int(model), str(name))
        if not tensor.is_floating_point():
            continue
        part = tensor.narrow(axis, start, stop - start).float().movedim(axis, 0)
        squared = part.reshape(outer, axis_map.columns, inner, -1).pow(2).sum(dim=(0, 2, 3)).double().cpu()
        mean = squared.mean()
        if bool(mean > 0) and bool(torch.isfinite(mean)):
            total += squared / mean
    return total.numpy()
