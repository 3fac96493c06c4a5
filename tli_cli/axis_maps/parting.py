"""What lets copies of one channel part in training: each output of what sums over them divides its weight among them in
its own way.

Copies that every output reads in the same proportion have gradients in that proportion, of which an optimizer that
scales each by its size (Adam, arXiv 1412.6980) makes one and the same step: they would stay one channel for good.
Outputs take turns in `PHASES` ways, each of which sums to what the channel's weight was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tli_cli.seeding import Draws

PHASES = 17
"""The number of ways; a prime, so that outputs that are copies of each other divide in different ones."""

SPREAD = 2.5
"""How uneven they are: about as large as what is divided."""


def parted(index: Any, columns: int, draws: Draws) -> Any:
    """Return factors of shape `(PHASES, rows)` for the copies that `index`, of shape `(rows,)`, takes of `columns`
    channels, whose mean over the copies of one channel is one."""
    drawn = 2.0 * draws.uniform(PHASES * len(index)).reshape(PHASES, len(index)) - 1.0
    copies = np.bincount(index, minlength=columns)
    means = np.stack([np.bincount(index, row, minlength=columns) for row in drawn]) / copies.clip(1)
    return 1.0 + SPREAD * (drawn - means[:, index])


def phases_of(rows: int) -> Any:
    """Return the way in which each of `rows` outputs divides."""
    return np.arange(rows) % PHASES


def outputs_of(shape: Sequence[int], contracted: Sequence[bool]) -> int:
    """Return the axis of a weight along which its outputs take turns, the longest not `contracted`; -1 if none is."""
    made = [dim for dim, summed in enumerate(contracted) if not summed]
    return max(made, key=lambda dim: shape[dim], default=-1)
