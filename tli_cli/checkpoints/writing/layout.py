"""Where each tensor goes in a file, and what stands before and between them; for safetensors, the header."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.safetensors_file import ORDER_KEY, TIED_KEY, order_digest
from tli_cli.checkpoints.writing.output import PendingFile
from tli_cli.dtypes import SAFETENSORS_CODES, bits, byte_count
from tli_cli.errors import CheckpointError, join_problems

if TYPE_CHECKING:
    import torch

MAX_HEADER = 100_000_000
"""The longest header that the safetensors library reads."""


@dataclass(frozen=True)
class FileLayout:
    """One file to be.

    Attributes:
        specs: its tensors, in the order in which they stand in it.
        offsets: where each begins; tied tensors may begin at one place.
        frames: what else stands in it: where, and the bytes.
        total: how many bytes there are in all.
        see: what has to be shown every part that is written, and where it stands.
        seal: what is left to do when all of it is written.
    """

    specs: tuple[TensorSpec, ...]
    offsets: dict[str, int]
    frames: tuple[tuple[int, bytes], ...]
    total: int
    see: Callable[[int, memoryview], None] | None = None
    seal: Callable[[PendingFile], None] | None = None


def require_writable(specs: Sequence[TensorSpec]) -> None:
    """Raise `CheckpointError` if a name comes twice or an element type has no place in the format."""
    problems = []
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen or spec.name == "__metadata__":
            problems.append(f"{spec.name!r}: the name is taken")
        seen.add(spec.name)
        if spec.dtype not in SAFETENSORS_CODES:
            problems.append(f"{spec.name}: {spec.dtype} has no place in safetensors; choose another with --dtype")
    if problems:
        raise CheckpointError(join_problems("the tensors cannot be written:", problems))


def lay_out(specs: Sequence[TensorSpec], metadata: Mapping[str, str]) -> FileLayout:
    """Return the safetensors file that holds `specs`: the header in their order, the widest types first.

    Readers view the values in place, so each type's values must start at a multiple of its size.
    """
    written = tuple(sorted(specs, key=lambda spec: -bits(spec.dtype)))
    offsets: dict[str, int] = {}
    position = 0
    for spec in written:
        offsets[spec.name] = position
        position += byte_count(spec.shape, spec.dtype)
    notes = {"format": "pt", **metadata, ORDER_KEY: order_digest(spec.name for spec in specs)}
    if tied := {spec.name: spec.tied_to for spec in specs if spec.tied_to}:
        notes[TIED_KEY] = json.dumps(tied)
    entries: dict[str, Any] = {"__metadata__": notes}
    for spec in specs:
        start = offsets[spec.name]
        end = start + byte_count(spec.shape, spec.dtype)
        code = SAFETENSORS_CODES[spec.dtype]
        entries[spec.name] = {"dtype": code, "shape": list(spec.shape), "data_offsets": [start, end]}
    header = _header(entries)
    absolute = {name: len(header) + offset for name, offset in offsets.items()}
    return FileLayout(written, absolute, ((0, header),), len(header) + position)


def repeated(specs: Sequence[TensorSpec]) -> dict[str, str]:
    """Return which tensors repeat the bytes of one that is written before them."""
    seen: dict[str, TensorSpec] = {}
    copies = {}
    for spec in specs:
        first = seen.get(spec.tied_to or "")
        if first is not None and (first.shape, first.dtype) == (spec.shape, spec.dtype):
            copies[spec.name] = first.name
        seen[spec.name] = spec
    return copies


def _header(entries: Mapping[str, Any]) -> bytes:
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise CheckpointError(
            f"the names and metadata of {len(entries):,} tensors take {len(text):,} bytes; expected at most "
            f"{MAX_HEADER:,} in a file; write shards with --max-shard-size"
        )
    return struct.pack("<Q", len(text)) + text


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """Return the contiguous little-endian bytes of `tensor`."""
    import torch

    flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8)
    if sys.byteorder == "big":
        flat = flat.reshape(-1, tensor.element_size()).flip(1).reshape(-1)
    return flat.numpy().data
