"""The tensors that a pickle describes: where their elements stand, checked against what the file really holds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.torch_ao import left_out
from tli_cli.checkpoints.torch_files.torch_pickles import PickledTensor, Storage
from tli_cli.dtypes import PACKED, bits, is_buffer
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

MAX_AXES = 64
_ENOUGH = 1 << 63
LAZY = "a lazy layer that never ran has no values; run the model once"
_INSTEAD = {"nested": "a nested one", "array": "an array of NumPy, as devices such as XLA give one"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A strided tensor whose elements are within `length` bytes from `start` on; `key` says which elements."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    start: int
    length: int
    key: tuple[object, ...]
    conj: bool
    neg: bool

    @property
    def values(self) -> tuple[int, ...]:
        """The shape in values: of two in a byte, torch counts the bytes, and the safetensors format the values."""
        return (*self.shape[:-1], 2 * self.shape[-1]) if self.dtype in PACKED and self.shape else self.shape

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are its elements in order, as they are."""
        expected = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != expected and all(self.shape):
                return False
            expected *= size
        return not self.conj and not self.neg

    def tensor(self, data: torch.Tensor) -> torch.Tensor:
        """Return the tensor whose bytes are `data`, contiguous or not; it is not to be written to."""
        import torch

        values = data.view(getattr(torch, self.dtype)).as_strided(self.shape, self.stride)
        values = values.conj().resolve_conj() if self.conj else values
        return values.neg() if self.neg else values


def slots_of(
    tensors: Mapping[str, PickledTensor], storages: Mapping[str, tuple[int, int]], where: str
) -> tuple[dict[str, Slot], tuple[str, ...]]:
    """Return where `tensors` stand, of `storages` that begin somewhere and are so long, and a line on each left out.

    Raises:
        CheckpointError: one of them is no dense tensor backed by the file.
    """
    quantised = {name: tensor.dtype for name, tensor in tensors.items() if tensor.layout == "quantised"}
    axes = {name: len(tensor.shape) if isinstance(tensor.shape, tuple) else 0 for name, tensor in tensors.items()}
    without, lines = left_out(quantised, axes, where)
    return {n: slot_of(t, storages, f"{where}: {n}") for n, t in tensors.items() if n not in without}, lines


def slot_of(tensor: PickledTensor, storages: Mapping[str, tuple[int, int]], where: str) -> Slot:
    """Return where `tensor` stands; raise `CheckpointError` if it is no dense tensor backed by the file."""
    if tensor.layout == "lazy":
        raise CheckpointError(f"{where}: {LAZY}")
    if tensor.layout == "meta":
        raise CheckpointError(f"{where}: the file holds no values for it (a tensor saved from `meta`)")
    if tensor.layout != "strided":
        found = _INSTEAD.get(tensor.layout, tensor.layout)
        raise CheckpointError(f"{where}: expected a dense tensor, found {found}; save it with `.cpu().to_dense()`")
    size = item_size(tensor.dtype, where)
    shape, stride, offset = _sizes(tensor, where)
    storage: Storage = tensor.storage
    start, held = storages.get(storage.key, (0, 0))
    claimed = storage.count * item_size(storage.dtype, where)
    first, extent = offset * size, _extent(shape, stride) * size
    if claimed > held or max(prod(shape) * size, first + extent) > claimed:
        raise CheckpointError(_claims(where, shape, max(claimed, prod(shape) * size, first + extent), held))
    key = (storage.key, first, shape, stride, tensor.dtype)
    return Slot(shape, stride, tensor.dtype, start + first, extent, key, tensor.conj, tensor.neg)


def specs_of(slots: Mapping[str, Slot]) -> tuple[TensorSpec, ...]:
    """Return names, shapes and dtypes of `slots`; what has the same elements is tied."""
    return tuple(
        TensorSpec(name, slots[name].values, slots[name].dtype, first, is_buffer(name, slots[name].dtype))
        for name, first in first_holders({name: slot.key if all(slot.shape) else None for name, slot in slots.items()})
    )


def first_holders(keys: Mapping[str, Hashable | None]) -> Iterator[tuple[str, str | None]]:
    """Yield each name, and the first name before it that has the same key, None if no other does or it has none."""
    first: dict[Hashable, str] = {}
    for name, key in keys.items():
        holder = name if key is None else first.setdefault(key, name)
        yield name, holder if holder != name else None


def item_size(dtype: str, where: str) -> int:
    """Return how many bytes torch takes for one element; one of a storage without a type is a byte.

    Raises:
        CheckpointError: elements of that type are not read.
    """
    if dtype in PACKED or not dtype:
        return 1
    try:
        return bits(dtype) // 8
    except KeyError:
        raise CheckpointError(f"{where}: elements of type {dtype} are not read; save it as numbers") from None


def _sizes(tensor: PickledTensor, where: str) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Return shape, stride and offset, which a pickle may have made anything."""
    shape, stride, offset = tensor.shape, tensor.stride, tensor.offset
    if not (isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride) <= MAX_AXES):
        raise CheckpointError(f"{where}: expected at most {MAX_AXES} sizes and as many strides; save the file again")
    if not all(type(n) is int and 0 <= n < _ENOUGH for n in (*shape, *stride, offset)):
        raise CheckpointError(f"{where}: expected sizes, strides and an offset from 0 on; save the file again")
    if prod(size or 1 for size in shape) >= _ENOUGH:
        raise CheckpointError(f"{where}: its shape {shape} has more elements than can be counted; save the file again")
    return shape, stride, offset


def _extent(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Return how many elements of storage lie from the first to the last one used."""
    if not all(shape):
        return 0
    return 1 + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))


def _claims(where: str, shape: tuple[int, ...], claimed: int, held: int) -> str:
    return (
        f"{where}: its shape {shape} claims {claimed:,} bytes, but the file holds {held:,} for it (an expanded, "
        "sparse or damaged tensor); save it with `.contiguous().clone()`"
    )
