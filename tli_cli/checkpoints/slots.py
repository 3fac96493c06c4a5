"""The tensors of a state dict: where their elements stand, checked against what the file or memory really holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.archive import Archive
from tli_cli.checkpoints.dtypes import is_buffer
from tli_cli.checkpoints.files import FileRange, opened, read_range
from tli_cli.checkpoints.mappings import mappings_of, offset_at
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Slot:
    """A strided tensor: it has its values itself, or `span` says which bytes of the file are those.

    `mapped` is the file that its own values may be mapped from, where the system does not say where they stand in it.
    """

    tensor: torch.Tensor
    shape: tuple[int, ...]
    dtype: str
    key: tuple[object, ...]
    span: FileRange | None
    mapped: FileRange | None = None

    def read(self) -> torch.Tensor:
        """Return the tensor on the CPU, contiguous or not; it is not to be written to."""
        import torch

        if self.mapped is not None:
            with opened(self.mapped):  # a process that looks at what has been cut off is killed
                return self.tensor.detach().clone().resolve_conj().resolve_neg()
        if self.span is None:
            return self.tensor.detach().resolve_conj().resolve_neg()
        buffer = torch.empty(self.span.length, dtype=torch.uint8)
        if self.span.length:
            read_range(self.span, buffer.numpy().data)
        values = buffer.view(self.tensor.dtype).as_strided(self.shape, self.tensor.stride())
        values = values.conj().resolve_conj() if self.tensor.is_conj() else values
        return values.neg() if self.tensor.is_neg() else values

    def file_range(self) -> FileRange | None:
        """Return where the bytes stand, None unless they are contiguous and as they are."""
        plain = self.tensor.is_contiguous() and not self.tensor.is_conj() and not self.tensor.is_neg()
        return self.span if plain else None


def slots_of(
    tensors: Mapping[str, torch.Tensor], archive: Archive | None, path: Path
) -> tuple[dict[str, Slot], tuple[str, ...]]:
    """Return where `tensors` stand, and a line on each that has to be left out.

    Raises:
        CheckpointError: one of them is no dense tensor backed by the file.
    """
    from torch.nn.parameter import is_lazy

    slots: dict[str, Slot] = {}
    left_out = []
    mappings = mappings_of(archive.stamp.inode) if archive else []
    for name, tensor in tensors.items():
        if is_lazy(tensor):
            raise CheckpointError(f"{path}: {name}: a lazy layer that never ran has no values; run the model once")
        if tensor.is_quantized:
            left_out.append(f"{name}: quantised ({str(tensor.dtype)[6:]}), left out: it cannot be resized or copied")
        else:
            slots[name] = slot_of(tensor, archive, path, name, mappings)
    return slots, tuple(left_out)


def specs_of(slots: Mapping[str, Slot]) -> tuple[TensorSpec, ...]:
    """Return names, shapes and dtypes of `slots`; what stands in one place is tied."""
    first: dict[tuple[object, ...], str] = {}
    specs = []
    for name, slot in slots.items():
        owner = first.setdefault(slot.key, name) if all(slot.shape) else name
        tied_to = owner if owner != name else None
        specs.append(TensorSpec(name, slot.shape, slot.dtype, tied_to, is_buffer(name, slot.dtype)))
    return tuple(specs)


def slot_of(
    tensor: torch.Tensor, archive: Archive | None, path: Path, name: str, mappings: list[tuple[int, int, int]]
) -> Slot:
    """Return where `tensor` stands, by the `mappings` of the file if it is mapped; raise `CheckpointError` if it is no
    dense tensor backed by the file."""
    import torch

    if tensor.layout != torch.strided or tensor.is_nested:
        layout = "a nested one" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        raise CheckpointError(f"{path}: {name}: expected a dense tensor, found {layout}; save it with `.to_dense()`")
    shape, stride = tuple(tensor.shape), tuple(tensor.stride())
    size = tensor.element_size()
    storage = tensor.untyped_storage()
    held = claimed = int(storage.nbytes())
    offset = getattr(storage, "_checkpoint_offset", None)
    if tensor.is_meta:
        if archive is None or offset is None:
            raise CheckpointError(f"{path}: {name}: the file holds no values for it (a tensor saved from `meta`)")
        held = min(held, archive.records.get(offset, -1))
        if held < claimed:
            raise CheckpointError(_claims(path, name, shape, claimed, max(held, 0)))
    elif archive is not None and held not in archive.records.values():
        raise CheckpointError(
            f"{path}: {name}: claims {held:,} bytes, but no record of the archive has that size; save it again"
        )
    elif archive is not None and storage.nbytes():
        offset = offset_at(storage.data_ptr(), mappings)
        if offset is not None and archive.records.get(offset, -1) < held:
            offset = None
    first = tensor.storage_offset() * size
    extent = _extent(shape, stride) * size
    if min(stride, default=0) < 0 or prod(shape) * size > held or first + extent > held:
        raise CheckpointError(_claims(path, name, shape, int(max(prod(shape) * size, first + extent)), held))
    span = FileRange(path, offset + first, extent, archive.stamp) if archive and offset is not None else None
    place = storage.data_ptr() if offset is None else offset
    key = (place, first, shape, stride, str(tensor.dtype))
    mapped = FileRange(path, 0, 0, archive.stamp) if archive and span is None else None
    return Slot(tensor, shape, str(tensor.dtype)[6:], key, span, mapped)


def _extent(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Return how many elements of storage lie from the first to the last one used."""
    if not all(shape):
        return 0
    return 1 + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))


def _claims(path: Path, name: str, shape: tuple[int, ...], claimed: int, held: int) -> str:
    return (
        f"{path}: {name}: its shape {shape} claims {claimed:,} bytes, but the file holds {held:,} for it (an expanded, "
        "sparse or damaged tensor); save it with `.contiguous().clone()`"
    )
