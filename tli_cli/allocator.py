"""How the C library's allocator is to treat the blocks that tensors are made in."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's malloc.h."""


def return_large_blocks() -> None:
    """Have the memory of large tensors given back at once, else several of the largest are kept; and that of small
    blocks kept, else each is cleared by the system again when it is next used."""
    with suppress(OSError, AttributeError):  # glibc only
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 4 << 20)
        library.mallopt(_TRIM_THRESHOLD, 32 << 20)
