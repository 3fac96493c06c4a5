"""Whether a network was ever trained, as far as its values tell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

STARTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""What the tensors of a norm start with; some norms' weights start with zeros."""
LEAST = 2
"""How many norms must be there to tell from."""


def looks_untrained(model: nn.Module) -> bool:
    """Tell whether all norms of `model` hold exactly what norms start with, which no training leaves so."""
    norms = [module for module in model.modules() if "norm" in type(module).__name__.lower()]
    held = [state for norm in norms if (state := _own(norm))]
    return len(held) >= LEAST and all(_starts(state) for state in held)


def _own(norm: nn.Module) -> Mapping[str, torch.Tensor]:
    tensors = {**dict(norm.named_parameters(recurse=False)), **dict(norm.named_buffers(recurse=False))}
    return {name: tensor for name, tensor in tensors.items() if name in STARTS}


def _starts(state: Mapping[str, torch.Tensor]) -> bool:
    return all(
        bool((tensor == STARTS[name]).all()) or (name == "weight" and not tensor.any())
        for name, tensor in state.items()
    )
