"""The catalogue's files: an index of names, and compressed blocks of architectures, read one block at a time."""

from __future__ import annotations

import json
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from tli_cli.errors import TliError

FORMAT = 2
DATA = Path(__file__).parent / "data"

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20}]


@lru_cache(maxsize=1)
def index() -> Mapping[str, Any]:
    """Return the index: `libraries`, `models`, `tags`, `renamed` and `blocks`."""
    found = read_table("index")
    if found["format"] != FORMAT:
        raise TliError(f"the catalogue has format {found['format']}, this tli reads {FORMAT}: install tli again")
    return cast("Mapping[str, Any]", found)


def read_table(name: str) -> Any:
    """Return one of the catalogue's small tables."""
    try:
        return json.loads(_unpacked(name))
    except ValueError as error:
        raise _unreadable(f"{name}.bin", error) from error


def read_numbers(name: str) -> Any:
    """Return one of the catalogue's tables of numbers, an array `(n,)` of int64."""
    import numpy as np

    try:
        return np.frombuffer(_unpacked(name), dtype="<i8")
    except ValueError as error:
        raise _unreadable(f"{name}.bin", error) from error


def _unpacked(name: str) -> bytes:
    try:
        return zlib.decompress((DATA / f"{name}.bin").read_bytes())
    except (OSError, zlib.error) as error:
        raise _unreadable(f"{name}.bin", error) from error


def _unreadable(file: str, error: Exception) -> TliError:
    state = "missing" if isinstance(error, FileNotFoundError) else f"damaged: {error}"
    return TliError(f"{DATA / file} is {state}: install tli again, or rebuild the catalogue with `make catalogue`")


@lru_cache(maxsize=4)
def _block(number: int) -> tuple[str, ...]:
    _, offset, length = index()["blocks"][number]
    try:
        with open(DATA / "architectures.bin", "rb") as file:
            file.seek(offset)
            raw = file.read(length)
        return tuple(lzma.decompress(raw, lzma.FORMAT_RAW, filters=FILTERS).decode().split("\n"))
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise _unreadable("architectures.bin", error) from error


def read_row(structure: int) -> Mapping[str, Any]:
    """Return the stored form of architecture number `structure`."""
    blocks = index()["blocks"]
    number = bisect_right(blocks, structure, key=lambda block: block[0]) - 1
    try:
        return cast("Mapping[str, Any]", json.loads(_block(number)[structure - blocks[number][0]]))
    except (ValueError, IndexError) as error:
        raise _unreadable("architectures.bin", error) from error
