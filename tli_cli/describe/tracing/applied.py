"""What is noted of a layer where it is applied: the tensors that it is made of, at how many places it acts."""

from __future__ import annotations

from typing import Any

import torch

from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def positions(rec: Recording, tensor: torch.Tensor, channel_dim: int) -> int:
    """Return at how many places of one sample the channels of `tensor` are held."""
    return max(tensor.numel() // max(tensor.shape[channel_dim] * rec.batch, 1), 1)


def placed(rec: Recording, tensor: torch.Tensor, channel_dim: int) -> dict[str, int]:
    """Return as attributes at how many places of one sample the channels of `tensor` are held, and, of a clip, in how
    many frames."""
    dims = [size for d, size in enumerate(tensor.shape) if d and d != channel_dim]
    frames = {"frames": dims[0]} if len(dims) == 3 and dims[0] > 1 else {}
    return {"positions": positions(rec, tensor, channel_dim)} | frames


def roles_of(rec: Recording, **tensors: Any) -> dict[str, tuple[str, ...]]:
    """Return by role the names of the state-dict entries that `tensors` are made of, where they are known."""
    values = {role: rec.get(tensor) for role, tensor in tensors.items()}
    return {role: value.names for role, value in values.items() if value and value.names}


def standardised(weight: Value) -> dict[str, Any]:
    """Return the attribute of a layer whose weight is divided by its own deviation or norm before it is used."""
    return {"standardised": True} if weight.standardised else {}


def is_learned_input(rec: Recording, value: Value, *, biased: bool) -> bool:
    """Tell whether a layer, which may be `biased`, acts on a learned value that stands for an input, such as a query or
    the map that a generator starts from, and not on what its own weight is made of."""
    return value.node < 0 and bool(value.names) and not rec.is_buffer(value) and (value.expanded or biased)


def constant(rec: Recording, tensor: torch.Tensor, channel: int) -> Value:
    """Return a value for a tensor that depends on nothing, with channels on the dimension that a layer sums over."""
    dims = tuple(rec.fresh(size, "channels" if d == channel else "grid") for d, size in enumerate(tensor.shape))
    return Value(dims, rec.node("constant", ()))
