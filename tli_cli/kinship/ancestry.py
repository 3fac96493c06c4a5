"""What values tell of their training: whether there was any, and whether checkpoints come from one ancestor, as
fine-tuned ones do: only then may they be mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.planning.choice import Akin

if TYPE_CHECKING:
    import torch

TENSORS = 8
"""How many of the largest tensors are looked at."""
LEAST_COSINE = 0.5
"""Weights of networks that were trained apart are about at right angles, whatever the task."""

STARTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""What the tensors of a norm start with; some norms' weights start with zeros."""
LEAST_NORMS = 2
"""How many norms must be there to tell from."""
UNTRAINED = "was never trained: all its norms hold what they start with"
"""What is said of a source that was not."""


class Values(NamedTuple):
    """A source's tensors, and how they are read."""

    tensors: Sequence[TensorSpec]
    read: Callable[[str], torch.Tensor]


def ancestry(sources: Sequence[Values | None]) -> Akin:
    """Return what tells whether two of `sources` are akin; those without values count as akin.

    A few of the largest tensors are read, when it is asked.
    """

    @cache
    def akin(first: int, second: int) -> bool:
        one, other = sources[first], sources[second]
        return one is None or other is None or _cosine(one, other) >= LEAST_COSINE

    return akin


def _cosine(one: Values, other: Values) -> float:
    """Return the median cosine of the largest tensors that both have; 0 where they share none."""
    held = {(spec.name, spec.shape) for spec in other.tensors}
    shared = [spec for spec in one.tensors if len(spec.shape) > 1 and (spec.name, spec.shape) in held]
    largest = sorted(shared, key=lambda spec: (-spec.size, spec.name))[:TENSORS]
    return median([_between(one.read(spec.name), other.read(spec.name)) for spec in largest] or [0.0])


def _between(first: torch.Tensor, second: torch.Tensor) -> float:
    one, other = first.float().flatten(), second.float().flatten().to(first.device)
    norms = float(one.norm() * other.norm())
    return float(one @ other) / norms if norms > 0 else 0.0


def looks_untrained(architecture: Architecture, read: Callable[[str], torch.Tensor]) -> bool:
    """Tell whether all norms of `architecture`, whose tensors are `read` by name, hold exactly what norms start with,
    which no training leaves so."""
    norms = [[(r, n) for r, n in layer.tensors if r in STARTS] for layer in architecture.layers if layer.kind == "norm"]
    told = ((role, read(name)) for norm in norms for role, name in norm)
    return sum(map(bool, norms)) >= LEAST_NORMS and all(
        bool((value == STARTS[role]).all()) or (role == "weight" and not value.any()) for role, value in told
    )
