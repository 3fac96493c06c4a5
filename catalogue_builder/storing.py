"""Write the catalogue's data files: tables, numbers and architectures, packed as `store` reads them."""

from __future__ import annotations

import json
import lzma
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tli_cli.catalogue.store import DATA, FILTERS

BLOCK = 96 * 1024
"""The size up to which architectures share a block: larger ones compress better, smaller ones are read faster."""


def write_table(name: str, value: Any, folder: Path = DATA) -> None:
    """Write one of the catalogue's small tables."""
    _write(folder / f"{name}.bin", zlib.compress(_json(value).encode(), 9))


def write_numbers(name: str, values: Sequence[int], folder: Path = DATA) -> None:
    """Write one of the catalogue's tables of numbers."""
    _write(folder / f"{name}.bin", zlib.compress(struct.pack(f"<{len(values)}q", *values), 9))


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    os.replace(beside, path)


def write_rows(rows: Iterable[Mapping[str, Any]], folder: Path = DATA) -> list[list[int]]:
    """Write architectures in blocks; return first number, offset and length of each block."""
    blocks: list[list[int]] = []
    written = b""
    first = 0
    for lines in _grouped([_json(row) for row in rows]):
        packed = lzma.compress("\n".join(lines).encode(), lzma.FORMAT_RAW, filters=FILTERS)
        blocks.append([first, len(written), len(packed)])
        first, written = first + len(lines), written + packed
    _write(folder / "architectures.bin", written)
    return blocks


def _grouped(lines: Sequence[str]) -> Iterable[list[str]]:
    group: list[str] = []
    size = 0
    for line in lines:
        if group and size + len(line) > BLOCK:
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line)
    if group:
        yield group


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
