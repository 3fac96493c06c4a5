"""Random numbers that depend on the seed and on a name alone, not on order or threads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def generator_for(seed: int, name: str) -> torch.Generator:
    """Return a CPU generator that is the same for the same `seed` and `name`."""
    import torch

    return torch.Generator().manual_seed(_digest(seed, name))


def draws_for(seed: int, name: str) -> Draws:
    """Return the numbers that `generator_for` gives, without torch."""
    return Draws(_digest(seed, name))


class Draws:
    """The random numbers of torch's generator on the CPU: a Mersenne twister, seeded by the low 32 bits."""

    def __init__(self, seed: int) -> None:
        from numpy.random import RandomState

        self._twister: Any = RandomState(seed & 0xFFFF_FFFF)._bit_generator

    def uniform(self, count: int) -> Any:
        """Return what `torch.rand(count, dtype=torch.float64)` does, as an array."""
        raw = self._twister.random_raw(2 * count)
        return (((raw[::2] << 32) | raw[1::2]) & ((1 << 53) - 1)) * 2.0**-53

    def integers(self, high: int, count: int) -> Any:
        """Return what `torch.randint(0, high, (count,))` does, as an array; `high` is below 2^28."""
        return (self._twister.random_raw(count) % high).astype("int64")


def _digest(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") & (2**63 - 1)
