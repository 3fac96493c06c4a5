"""What every file format offers: entries under their stored names, and ways to their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange, read_range
from tli_cli.dtypes import PACKED
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch


class Reader(Protocol):
    """One opened checkpoint, under the names that it stores.

    Attributes:
        format: what the file is, for people: `safetensors`, `torch`, `sharded safetensors` ...
        tensors: the entries in stored order.
        order_from: `file` if that order is the definition's, else `inferred`.
        metadata: the file's own notes.
        ignored: what was left aside, a line each.
    """

    format: str
    tensors: tuple[TensorSpec, ...]
    order_from: str
    metadata: dict[str, str]
    ignored: tuple[str, ...]

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor stored as `name`, on the CPU."""
        ...

    def file_range(self, name: str) -> FileRange | None:
        """Return where the contiguous little-endian bytes of `name` stand, None if nowhere in one piece."""
        ...


def read_bytes(piece: FileRange, name: str, dtype: str) -> torch.Tensor:
    """Return the bytes of the tensor `name`, whose elements are `dtype`, as one `uint8` for each.

    Raises:
        CheckpointError: several of its values share a byte, or the file is not what it was.
    """
    import torch

    if dtype in PACKED:
        raise CheckpointError(f"{piece.path}: {name} holds packed {dtype} values: they can only be copied")
    data = torch.empty(piece.length, dtype=torch.uint8)
    if piece.length:
        read_range(piece, data.numpy().data)
    return data


def with_ties(specs: Sequence[TensorSpec], tied: Mapping[str, str]) -> tuple[TensorSpec, ...]:
    """Return `specs` with the ties that a file's notes claim, where they can be true."""
    by_name = {spec.name: spec for spec in specs}
    result = []
    for spec in specs:
        first = by_name.get(tied.get(spec.name, ""))
        fits = first is not None and first.name not in tied and (first.shape, first.dtype) == (spec.shape, spec.dtype)
        result.append(replace(spec, tied_to=first.name) if first is not None and fits else spec)
    return tuple(result)
