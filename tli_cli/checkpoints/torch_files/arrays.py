"""Arrays of NumPy within a pickle, whose values stand in it: what they are, without NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.stand_ins import Inert, Unread, inert
from tli_cli.checkpoints.torch_files.slots import MAX_AXES, first_holders, item_size
from tli_cli.checkpoints.torch_files.torch_pickles import Dtype
from tli_cli.dtypes import is_buffer
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

_ARRAY, _BYTES = inert("ndarray"), inert("bytes")
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex", "b": "bool"}


@dataclass(frozen=True, eq=False)
class PickledArray(Unread):
    """An array as a pickle describes it, unchecked: its shape, type, whether its first axis is the innermost, and its
    bytes, which a text of as many letters may stand for."""

    shape: Any
    kind: Any
    turned: bool
    data: Any


def put_arrays(node: Any) -> bool:
    """Put arrays where dictionaries in `node` hold what stands for them; return whether there is any."""
    found, left, seen = False, [node], set[int]()
    while left:
        held = left.pop()
        if not isinstance(held, dict) or id(held) in seen:
            continue
        seen.add(id(held))
        for key, value in list(held.items()):
            if isinstance(value, _ARRAY) and (array := _array(value.args)) is not None:
                held[key], found = array, True
            left.append(value)
    return found


def _array(args: tuple[Any, ...]) -> PickledArray | None:
    """Return the array of which a pickle gives the state, or the bytes with type, shape and order."""
    if len(args) == 1 and isinstance(args[0], tuple) and len(args[0]) == 5:
        _, shape, kind, turned, data = args[0]
        return PickledArray(shape, kind, turned is True, data)
    return PickledArray(args[2], args[1], args[3] == "F", args[0]) if len(args) == 4 else None


class Arrays:
    """The arrays of one pickle by name, held as they stand in it.

    Raises:
        CheckpointError: one of them holds no numbers, or not as many as its shape says.
    """

    def __init__(self, arrays: Mapping[str, PickledArray], where: str) -> None:
        self._arrays = arrays
        self._dtypes = {name: _dtype(array, f"{where}: {name}") for name, array in arrays.items()}
        holders = first_holders({name: id(array.data) for name, array in arrays.items()})
        self.tensors = tuple(self._spec(name, first) for name, first in holders)

    def _spec(self, name: str, first: str | None) -> TensorSpec:
        array, dtype = self._arrays[name], self._dtypes[name]
        alike = first is not None and (self._arrays[first].shape, self._dtypes[first]) == (array.shape, dtype)
        return TensorSpec(name, tuple(array.shape), dtype, first if alike else None, is_buffer(name, dtype))

    def read(self, name: str) -> torch.Tensor:
        """Return the array called `name` as a tensor."""
        import torch

        array, data = self._arrays[name], _bytes(self._arrays[name].data)
        dtype = getattr(torch, self._dtypes[name])
        flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
        if not array.turned:
            return flat.reshape(array.shape)
        return flat.reshape(array.shape[::-1]).permute(*range(len(array.shape) - 1, -1, -1))


def _dtype(array: PickledArray, where: str) -> str:
    """Return the type of the elements, of which there are as many as the shape says."""
    shape = array.shape
    if not (isinstance(shape, tuple) and len(shape) <= MAX_AXES and all(type(n) is int and n >= 0 for n in shape)):
        raise CheckpointError(f"{where}: expected an array of at most {MAX_AXES} sizes; save the file again")
    kind, order = (*array.kind.args, "", "")[:2] if isinstance(array.kind, Dtype) else ("", "")
    name = _KINDS.get(kind[:1], "") if isinstance(kind, str) and kind[1:].isdecimal() and len(kind) < 4 else ""
    if not name or order == ">":
        raise CheckpointError(f"{where}: expected little-endian numbers, found an array of {kind or 'objects'}")
    dtype = name if name == "bool" else f"{name}{8 * int(kind[1:])}"
    held = _length(array.data)
    if held != prod(shape) * item_size(dtype, where):
        raise CheckpointError(
            f"{where}: its shape {shape} claims {prod(shape):,} numbers of type {dtype}, but {held:,} bytes stand there"
        )
    return dtype


def _length(data: Any) -> int:
    text = _text(data)
    if text is not None:
        return len(text) if text.isascii() or max(text) <= "\xff" else -1
    return len(data) if isinstance(data, bytes | bytearray) else -1


def _bytes(data: Any) -> bytes:
    text = _text(data)
    return data if text is None else text.encode("latin-1")


def _text(data: Any) -> str | None:
    """Return the text that stands for bytes in the older protocols, None if `data` is no such thing."""
    if isinstance(data, Inert) and not data.args:  # `bytes()`, for none
        return ""
    is_text = isinstance(data, _BYTES) and len(data.args) == 2 and data.args[1] in ("latin1", "latin-1")
    return data.args[0] if is_text and isinstance(data.args[0], str) else None
