"""Where in a file the memory stands that it is mapped to."""

from __future__ import annotations

from contextlib import suppress


def mappings_of(inode: int) -> list[tuple[int, int, int]]:
    """Return where the file called `inode` is mapped: from which address on to which, and from which offset on.

    Empty where the system does not say.
    """
    found = []
    with suppress(OSError, ValueError), open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            addresses, _, offset, _, number, *_ = line.split(None, 5)
            if int(number) == inode:
                first, last = (int(address, 16) for address in addresses.split("-"))
                found.append((first, last, int(offset, 16)))
    return found


def offset_at(address: int, mappings: list[tuple[int, int, int]]) -> int | None:
    """Return which byte of the file stands at `address`, None if none does."""
    return next((offset + address - first for first, last, offset in mappings if first <= address < last), None)
