"""Floating types between their stored bits and the type that is computed in, in numpy; each rounds as torch does.

What numpy has no arithmetic for is held in unsigned integers of its size, and computed in float32.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

STORED = {
    "float64": "f8",
    "float32": "f4",
    "complex64": "c8",
    "complex128": "c16",
    "float16": "u2",
    "bfloat16": "u2",
    "float8_e5m2": "u1",
    "float8_e4m3fn": "u1",
    "float8_e5m2fnuz": "u1",
    "float8_e4m3fnuz": "u1",
}
"""How numpy holds the stored values of each type that can be computed with."""


_STEP = 1 << 16
"""So many values are turned into float16 at once: it takes many steps, whose results are to stay in the cache."""


def load(stored: Any, dtype: str) -> Any:
    """Return the values of `dtype` whose bits are in `stored`, as an array that may be written to."""
    if dtype == "bfloat16":
        wide = stored.astype(np.uint32)
        np.left_shift(wide, 16, out=wide)
        return wide.view(np.float32)
    if dtype == "float16":
        return _halves().take(stored)
    return stored.copy() if STORED[dtype] != "u1" else _by_torch(stored, dtype)


def store(values: Any, dtype: str) -> Any:
    """Return the stored values of `dtype` nearest to `values`, ties to even."""
    if dtype == "bfloat16":
        return _bfloats(values)
    if dtype == "float16":
        flat, halves = values.reshape(-1), np.empty(values.size, dtype=np.uint16)
        for start in range(0, len(flat), _STEP):
            halves[start : start + _STEP] = _to_halves(flat[start : start + _STEP])
        return halves.reshape(values.shape)
    return values.astype(STORED[dtype], copy=False) if STORED[dtype] != "u1" else _by_torch(values, dtype)


def convert(stored: Any, source: str, target: str) -> Any:
    """Return the stored values of type `target` for those of type `source`."""
    if source == target:
        return stored
    short = STORED[source].startswith("u") and STORED[target].startswith("u")
    return _table(source, target).take(stored) if short else store(load(stored, source), target)


@cache
def _table(source: str, target: str) -> Any:
    """Return the stored values of type `target` for all bit patterns of type `source`."""
    kind = np.dtype(STORED[source])
    return store(load(np.arange(1 << 8 * kind.itemsize, dtype=kind), source), target)


def _bfloats(values: Any) -> Any:
    single = values.astype(np.float32, copy=False)
    bits = single.view(np.uint32)
    rounded = np.right_shift(bits, 16)
    np.bitwise_and(rounded, 1, out=rounded)
    np.add(rounded, 0x7FFF, out=rounded)
    np.add(rounded, bits, out=rounded)
    np.right_shift(rounded, 16, out=rounded)
    return _with_nan(rounded.astype(np.uint16), single, 0x7FC0)


def _to_halves(values: Any) -> Any:
    single = values.astype(np.float32, copy=False)
    bits = single.view(np.uint32)
    size = np.bitwise_and(bits, 0x7FFF_FFFF)
    tiny = size < _LEAST_NORMAL if size.min(initial=_LEAST_NORMAL) < _LEAST_NORMAL else None
    rounded = np.right_shift(size, 13)
    np.bitwise_and(rounded, 1, out=rounded)
    np.add(rounded, size, out=rounded)
    np.add(rounded, _REBIAS, out=rounded)
    np.right_shift(rounded, 13, out=rounded)
    if tiny is not None:
        # the sum with one half has the last bit of a subnormal as its own last bit
        shifted = (size.view(np.float32) + np.float32(0.5)).view(np.uint32)
        np.subtract(shifted, 0x3F00_0000, out=shifted)
        np.copyto(rounded, shifted, where=tiny)
    np.minimum(rounded, 0x7C00, out=rounded)
    np.right_shift(bits, 16, out=size)
    np.bitwise_and(size, 0x8000, out=size)
    np.bitwise_or(rounded, size, out=rounded)
    return _with_nan(rounded.astype(np.uint16), single, 0x7E00)


_LEAST_NORMAL = 0x3880_0000
"""The bits in float32 of the least normal number of float16."""

_REBIAS = (0xFFF - (112 << 23)) % (1 << 32)
"""What turns a float32's exponent into a float16's, and rounds to its thirteen bits fewer."""


def _with_nan(stored: Any, values: Any, nan: int) -> Any:
    largest = values.max(initial=-np.inf)  # NaN, if there is any
    if largest != largest:
        stored[np.isnan(values)] = nan
    return stored


@cache
def _halves() -> Any:
    """Return the values of all bit patterns of float16."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def _by_torch(values: Any, dtype: str) -> Any:
    """Return `values` in or out of a type of eight bits, which numpy does not know."""
    import torch

    kind = getattr(torch, dtype)
    if values.dtype == np.uint8:
        return torch.from_numpy(values.copy()).view(kind).float().numpy()
    return torch.from_numpy(values).to(kind).view(torch.uint8).numpy()
