"""Whether a network was ever trained, as far as its values tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture

if TYPE_CHECKING:
    import torch

STARTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""What the tensors of a norm start with; some norms' weights start with zeros."""
LEAST = 2
"""How many norms must be there to tell from."""
UNTRAINED = "was never trained: all its norms hold what they start with"
"""What is said of a source that was not."""


def looks_untrained(architecture: Architecture, read: Callable[[str], torch.Tensor]) -> bool:
    """Tell whether all norms of `architecture`, whose tensors are `read` by name, hold exactly what norms start with,
    which no training leaves so."""
    norms = [[(r, n) for r, n in layer.tensors if r in STARTS] for layer in architecture.layers if layer.kind == "norm"]
    told = ((role, read(name)) for norm in norms for role, name in norm)
    return sum(map(bool, norms)) >= LEAST and all(
        bool((value == STARTS[role]).all()) or (role == "weight" and not value.any()) for role, value in told
    )
