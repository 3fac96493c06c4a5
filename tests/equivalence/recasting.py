"""Small steps that make the tensors of one project of those of another."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

Tensors = dict[str, torch.Tensor]
Recast = Callable[[Tensors], Tensors]


def renamed(*rules: tuple[str, str]) -> Recast:
    """Return what applies patterns to all names, one after the other."""

    def recast(tensors: Tensors) -> Tensors:
        for pattern, new in rules:
            tensors = {re.sub(pattern, new, name): tensor for name, tensor in tensors.items()}
        return tensors

    return recast


def chained(*steps: Recast) -> Recast:
    """Return what takes one step after the other."""

    def recast(tensors: Tensors) -> Tensors:
        for step in steps:
            tensors = step(tensors)
        return tensors

    return recast


def fused(parts: tuple[str, ...], whole: str) -> Recast:
    """Return what lays the layers called `parts` end to end as one called `whole`."""

    def recast(tensors: Tensors) -> Tensors:
        found = dict(tensors)
        for name in [name for name in tensors if parts[0] in name]:
            found[name.replace(parts[0], whole)] = torch.cat([found.pop(name.replace(parts[0], p)) for p in parts])
        return found

    return recast


def without_counts(tensors: Tensors) -> Tensors:
    """Return `tensors` without the counts of batches that only torch's batch norms keep."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def neighbouring(heads: int, *names: str) -> Recast:
    """Return what puts the halves of each head that a rotary embedding turns together side by side, in the layers
    called `names`, of which each head of the first, and no other, is one of `heads`."""

    def recast(tensors: Tensors) -> Tensors:
        widths = [t.shape[0] // heads for n, t in tensors.items() if names[0] in n]
        found = dict(tensors)
        for name in (name for name in tensors if any(part in name for part in names)):
            rows = tensors[name]
            halves = rows.reshape(-1, 2, widths[0] // 2, *rows.shape[1:])
            found[name] = halves.transpose(1, 2).reshape(rows.shape)
        return found

    return recast
