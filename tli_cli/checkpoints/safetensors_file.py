"""Reading safetensors files: the library checks the header, values are read at their offsets."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange, Stamp, stamp_of
from tli_cli.checkpoints.reader import read_bytes, with_ties
from tli_cli.decoding import without_duplicates
from tli_cli.dtypes import DTYPE_OF_CODE, PACKED, is_buffer
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

ORDER_KEY = "tli.order"
TIED_KEY = "tli.tied"


class SafetensorsFile:
    """One safetensors file; opening it reads the header alone and does not import torch."""

    format = "safetensors"

    def __init__(self, path: Path) -> None:
        header, start, stamp = _read_header(path)
        self.path = path
        self.metadata: dict[str, str] = header.pop("__metadata__", None) or {}
        self.order_from = "file" if self.metadata.get(ORDER_KEY) == order_digest(header) else "inferred"
        left_out = {name: kept for name, kept in self.metadata.items() if kept in header and name not in header}
        entries = [_spec(name, entry) for name, entry in header.items()]
        entries += [replace(_spec(name, header[kept]), tied_to=kept) for name, kept in left_out.items()]
        self.tensors = with_ties(entries, tied_names(self.metadata))
        self._ranges = {
            name: FileRange(path, start + first, last - first, stamp)
            for name, entry in header.items()
            for first, last in [entry["data_offsets"]]
        }
        self._ranges |= {name: self._ranges[kept] for name, kept in left_out.items()}
        self._specs = {spec.name: spec for spec in self.tensors}
        self.ignored = tuple(
            f"{spec.name}: packed {spec.dtype} values, copied where shapes are equal and never resized"
            for spec in self.tensors
            if spec.dtype in PACKED
        )

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor stored as `name`, on the CPU."""
        import torch

        spec = self._specs[name]
        data = read_bytes(self._ranges[name], name, spec.dtype)
        return data.view(getattr(torch, spec.dtype)).reshape(spec.shape)

    def file_range(self, name: str) -> FileRange:
        """Return where the bytes of `name` stand."""
        return self._ranges[name]


def order_digest(names: Iterable[str]) -> str:
    """Return the mark that says that a header's own order is the definition's, and is lost when a tool reorders it."""
    return "header:" + hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def tied_names(metadata: dict[str, str]) -> dict[str, str]:
    """Return which entries are tied to which, as our writer noted it."""
    try:
        tied = json.loads(metadata.get(TIED_KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(tied, dict):
        return {}
    return {name: first for name, first in tied.items() if isinstance(first, str)}


def _spec(name: str, entry: dict[str, Any]) -> TensorSpec:
    dtype = DTYPE_OF_CODE[entry["dtype"]]
    return TensorSpec(name, tuple(entry["shape"]), dtype, None, is_buffer(name, dtype))


def _read_header(path: Path) -> tuple[dict[str, Any], int, Stamp]:
    """Return the header as the library accepts it, where the values begin, and what the file is now."""
    from safetensors import SafetensorError, safe_open

    stamp = stamp_of(path)
    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, stamp.size)), object_pairs_hook=without_duplicates)
        return header, 8 + length, stamp
    except (SafetensorError, OSError, ValueError, struct.error) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")[:300]
        raise CheckpointError(
            f"{path}: not a valid safetensors file: {reason} (the file has {stamp.size:,} bytes); "
            "it is damaged, incomplete or something else: make or download it again"
        ) from error
