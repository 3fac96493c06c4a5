"""Whether stored values are finite, read as bits: without torch, and a block at a time."""

from __future__ import annotations

from tli_cli.checkpoints.files import FileRange, opened, read_at
from tli_cli.dtypes import is_float

_BLOCK = 1 << 18

_EXPONENTS = {
    "float64": (8, 0x7FF0_0000_0000_0000),
    "float32": (4, 0x7F80_0000),
    "complex64": (4, 0x7F80_0000),
    "complex128": (8, 0x7FF0_0000_0000_0000),
    "float16": (2, 0x7C00),
    "complex32": (2, 0x7C00),
    "bfloat16": (2, 0x7F80),
    "float8_e5m2": (1, 0x7C),
    "float8_e4m3fn": (1, 0x7F),
}
"""The bytes of a value, and the bits that are all set in NaN and infinite values and in no other."""

_SINGLE_NAN = {"float8_e4m3fnuz": 0x80, "float8_e5m2fnuz": 0x80, "float8_e8m0fnu": 0xFF}
"""The one bit pattern that is NaN, in types that have no infinity."""


def is_finite(piece: FileRange, dtype: str) -> bool:
    """Return whether no value of `dtype` in the bytes of `piece` is NaN or infinite; what is no float is finite."""
    if not is_float(dtype):
        return True
    buffer = memoryview(bytearray(min(piece.length, _BLOCK)))
    with opened(piece) as descriptor:
        for start in range(0, piece.length, _BLOCK):
            part = buffer[: min(_BLOCK, piece.length - start)]
            read_at(descriptor, piece.path, piece.offset + start, part)
            if not all_finite(part, dtype):
                return False
    return True


def all_finite(data: memoryview, dtype: str) -> bool:
    """Return whether none of the values of `dtype` in `data` is NaN or infinite."""
    import numpy as np

    if not is_float(dtype) or not data:
        return True
    if dtype in _SINGLE_NAN:
        return not bool((np.frombuffer(data, dtype="u1") == _SINGLE_NAN[dtype]).any())
    size, bits = _EXPONENTS[dtype]
    negative = bits | 1 << (8 * size - 1)
    # with a sign the largest integer is a positive number's, without one a negative number's
    largest = np.frombuffer(data, dtype=f"<i{size}").max()
    return bool(largest < bits) and bool(np.frombuffer(data, dtype=f"<u{size}").max() < negative)
