"""Names and sizes of element types, as torch calls them and as the safetensors format does."""

from __future__ import annotations

from math import prod

SAFETENSORS_CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "complex64": "C64",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "float4_e2m1fn_x2": "F4",
    "float6_e2m3fn": "F6_E2M3",
    "float6_e3m2fn": "F6_E3M2",
}
"""The code of each element type that the format knows."""

DTYPE_OF_CODE = {code: name for name, code in SAFETENSORS_CODES.items()}

PACKED = frozenset({"float4_e2m1fn_x2", "float6_e2m3fn", "float6_e3m2fn"})
"""Types whose elements share bytes: copied as they are, never decoded."""

_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8, "128": 16}
_BITS = {"bool": 8, "float4_e2m1fn_x2": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}

_BUFFER_NAMES = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def bits(dtype: str) -> int:
    """Return how many bits one element of `dtype` takes."""
    if dtype in _BITS:
        return _BITS[dtype]
    digits = dtype.split("_")[0].lstrip("abcdefghijklmnopqrstuvwxyz")
    return 8 * _SIZES[digits]


def byte_count(shape: tuple[int, ...], dtype: str) -> int:
    """Return how many bytes a contiguous tensor of `shape` and `dtype` takes."""
    return prod(shape) * bits(dtype) // 8


def is_float(dtype: str) -> bool:
    """Return whether `dtype` holds real or complex numbers that can be computed with."""
    return dtype not in PACKED and dtype.startswith(("float", "bfloat", "complex"))


def is_buffer(name: str, dtype: str) -> bool:
    """Return whether the entry called `name` is known not to be trained."""
    return name.rpartition(".")[2] in _BUFFER_NAMES or not is_float(dtype)
