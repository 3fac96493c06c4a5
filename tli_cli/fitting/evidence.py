"""Whether a network was ever trained, as far as its values tell."""

from __future__ import annotations

import torch
from torch import nn

STARTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""What the tensors of a norm start with; some norms' weights start with zeros."""
LEAST = 2
"""How many norms must be there to tell from."""


def looks_untrained(model: nn.Module) -> bool:
    """Tell whether all norms of `model` hold exactly what norms start with, which no training leaves so."""
    norms = [module for module in model.modules() if "norm" in type(module).__name__.lower()]
    held = [[*norm.named_parameters(recurse=False), *norm.named_buffers(recurse=False)] for norm in norms]
    known = [tensors for norm in held if (tensors := [(name, value) for name, value in norm if name in STARTS])]
    return len(known) >= LEAST and all(_starts(name, value) for tensors in known for name, value in tensors)


def _starts(name: str, value: torch.Tensor) -> bool:
    return bool((value == STARTS[name]).all()) or (name == "weight" and not value.any())
