"""Whether stored values are finite, read as bits: without torch, and a block at a time."""

from __future__ import annotations

from typing import Any

from tli_cli.checkpoints.dtypes import is_float
from tli_cli.checkpoints.files import FileRange, read_range

_BLOCK = 1 << 18

_EXPONENTS = {
    "float64": ("<u8", 0x7FF0_0000_0000_0000),
    "float32": ("<u4", 0x7F80_0000),
    "complex64": ("<u4", 0x7F80_0000),
    "complex128": ("<u8", 0x7FF0_0000_0000_0000),
    "float16": ("<u2", 0x7C00),
    "bfloat16": ("<u2", 0x7F80),
    "float8_e5m2": ("u1", 0x7C),
    "float8_e4m3fn": ("u1", 0x7F),
}
"""The bits that are all set in NaN and infinite values, and in no other."""

_SINGLE_NAN = {"float8_e4m3fnuz": 0x80, "float8_e5m2fnuz": 0x80, "float8_e8m0fnu": 0xFF}
"""The one bit pattern that is NaN, in types that have no infinity."""


def is_finite(piece: FileRange, dtype: str) -> bool:
    """Return whether no value of `dtype` in the bytes of `piece` is NaN or infinite; what is no float is finite."""
    import numpy as np

    if not is_float(dtype):
        return True
    code, mask = _EXPONENTS.get(dtype, ("u1", 0xFF))
    buffer = memoryview(bytearray(min(piece.length, _BLOCK)))
    masked = np.empty(len(buffer) // np.dtype(code).itemsize, dtype=code)
    for start in range(0, piece.length, _BLOCK):
        length = min(_BLOCK, piece.length - start)
        read_range(FileRange(piece.path, piece.offset + start, length), buffer[:length])
        values: Any = np.frombuffer(buffer[:length], dtype=code)
        if dtype in _SINGLE_NAN:
            if (values == _SINGLE_NAN[dtype]).any():
                return False
            continue
        kept = masked[: len(values)]
        np.bitwise_and(values, mask, out=kept)
        if kept.max() == mask:
            return False
    return True
