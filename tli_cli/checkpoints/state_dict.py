"""A state dict in memory, read as a file of it would be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.nested import find_state_dict
from tli_cli.checkpoints.torch_ao import left_out
from tli_cli.checkpoints.torch_files.slots import LAZY, first_holders
from tli_cli.dtypes import is_buffer
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch


_DEPTH = 4
"""How deep state dicts stand in training state."""


class StateDict:
    """A state dict, plain or nested in training state; its tensors stay on the device that they are on."""

    format = "state dict"
    order_from = "file"

    def __init__(self, loaded: Any, where: str, ema: str | None = None) -> None:
        self.metadata: dict[str, str] = {}
        found = find_state_dict(loaded, where, ema)
        for name, tensor in found.tensors.items():
            _require_values(tensor, f"{where}: {name}")
        quantised = {name: str(tensor.dtype)[6:] for name, tensor in found.tensors.items() if tensor.is_quantized}
        without, lines = left_out(quantised, {name: t.ndim for name, t in found.tensors.items()}, where)
        self._tensors = {name: tensor for name, tensor in found.tensors.items() if name not in without}
        self.ignored = (*found.ignored, *lines)
        keys = {name: _place(tensor) for name, tensor in self._tensors.items()}
        self.tensors = tuple(_spec(name, self._tensors[name], first) for name, first in first_holders(keys))

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor called `name`, where it is; it is not to be written to."""
        tensor: torch.Tensor = self._tensors[name].detach()
        return tensor.resolve_conj().resolve_neg()

    def file_range(self, name: str) -> FileRange | None:
        """Return None: no file holds it."""
        return None


def with_tensors(loaded: Any) -> Any:
    """Return `loaded` with tensors in the place of NumPy's arrays of numbers, if it and what is in it hold none."""
    import torch

    return loaded if _holds(loaded, torch.Tensor) else _changed(loaded, _DEPTH)


def _holds(node: Any, kind: type, depth: int = _DEPTH) -> bool:
    if depth and isinstance(node, Mapping):
        return any(_holds(value, kind, depth - 1) for value in node.values())
    return isinstance(node, kind)


def _changed(node: Any, depth: int) -> Any:
    import numpy as np
    import torch

    if depth and isinstance(node, Mapping) and _holds(node, np.ndarray, depth):
        return {name: _changed(value, depth - 1) for name, value in node.items()}
    if not isinstance(node, np.ndarray) or node.dtype.kind not in "biufc":
        return node
    try:
        return torch.from_numpy(np.array(node, dtype=node.dtype.newbyteorder("=")))
    except TypeError:  # torch has no such type
        return node


def _require_values(tensor: torch.Tensor, where: str) -> None:
    import torch
    from torch.nn.parameter import is_lazy

    if is_lazy(tensor):
        raise CheckpointError(f"{where}: {LAZY}")
    if hasattr(tensor, "full_tensor"):
        raise CheckpointError(
            f"{where}: expected a whole tensor, found one process's part of it (a DTensor); get_model_state_dict"
            "(model, options=StateDictOptions(full_state_dict=True)) gives whole ones"
        )
    if tensor.layout != torch.strided or tensor.is_nested:
        layout = "a nested one" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        raise CheckpointError(f"{where}: expected a dense tensor, found {layout}; give it as `.to_dense()`")
    if tensor.is_meta:
        raise CheckpointError(f"{where}: it is on `meta` and has no values; load them first")
    claimed, held = tensor.numel() * tensor.element_size(), int(tensor.untyped_storage().nbytes())
    if claimed > held:
        raise CheckpointError(
            f"{where}: its shape {tuple(tensor.shape)} claims {claimed:,} bytes, but memory holds {held:,} for it (an "
            "expanded tensor); give it as `.contiguous()`"
        )


def _place(tensor: torch.Tensor) -> tuple[object, ...] | None:
    """Return what is the same of two tensors that are one; None where there is nothing to share."""
    if not tensor.numel():
        return None
    place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset())
    return (*place, tuple(tensor.shape), tuple(tensor.stride()), str(tensor.dtype))


def _spec(name: str, tensor: torch.Tensor, tied_to: str | None) -> TensorSpec:
    dtype = str(tensor.dtype)[6:]
    return TensorSpec(name, tuple(tensor.shape), dtype, tied_to, is_buffer(name, dtype))
