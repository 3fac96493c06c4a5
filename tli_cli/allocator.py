"""How the C library's allocator is to treat the blocks that tensors are made in."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's malloc.h."""


def return_large_blocks() -> None:
    """Have the memory of large tensors given back at once, else several of the largest are kept; and that of small
    blocks kept, else each is cleared by the system again when it is next used."""
    _set(4 << 20, 32 << 20)


@contextmanager
def kept_blocks() -> Iterator[None]:
    """Have all memory kept meanwhile, but that of the largest tensors: where blocks of the same sizes are made over and
    over, as in gradient steps, a third of the time went into clearing them."""
    _set(32 << 20, 1 << 30)
    try:
        yield
    finally:
        return_large_blocks()


def _set(returned: int, kept: int) -> None:
    """Return blocks of `returned` bytes or more at once, and others where more than `kept` bytes are free."""
    with suppress(OSError, AttributeError):  # glibc only
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, returned)
        library.mallopt(_TRIM_THRESHOLD, kept)
