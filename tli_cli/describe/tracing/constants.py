"""What code makes of numbers alone, with its values: waves of positions, slopes, masks, fixed kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_map

from tli_cli.noted import Number

LARGEST = 1 << 20
"""How many values are worked out beside what is traced; larger constants stay unknown."""

FAR = 3e4
"""Beyond this, what bars values from a softmax is as good as infinite."""

BARS = 50
"""From this on below zero, what is added before a softmax bars values from it."""

LIKE = {"zeros_like": 0.0, "new_zeros": 0.0, "ones_like": 1.0, "new_ones": 1.0}
"""Operations that take of a tensor its shape alone, and what they fill another one with."""


def unsaved(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the buffers of `model`, by name, that it does not save and that hold numbers of its code, such as the
    frequencies of a rotary embedding or an order of channels: floating ones of one or two dimensions, integers of one,
    and no single numbers; dimensions of size 1 apart."""
    saved = model.state_dict(keep_vars=True)
    return {
        name: buffer
        for name, buffer in model.named_buffers()
        if name not in saved
        and 1 <= sum(size > 1 for size in buffer.shape) <= 1 + buffer.is_floating_point()
        and buffer.numel() <= LARGEST
    }


class Constants:
    """Values of tensors that depend on no input and on no parameter, worked out beside the same ones on `meta`."""

    def __init__(self) -> None:
        self._values: dict[int, torch.Tensor] = {}
        self._alive: list[torch.Tensor] = []
        self._lost: set[int] = set()

    def put(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """Remember that `tensor` holds `value`."""
        self._values[id(tensor)] = value.double() if value.is_floating_point() else value
        self._alive.append(tensor)

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the values of `tensor`; None where they are not known."""
        held = self._values.get(id(tensor))
        if held is None and not tensor.is_meta and tensor.numel() <= LARGEST:
            held = tensor.double() if tensor.is_floating_point() else tensor
        return None if held is None or held.untyped_storage()._cdata in self._lost else held

    def follow(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any, known: bool) -> None:
        """Work out what `func` makes of constants; where it takes something else (`known`), what it writes is lost."""
        name = func._overloadpacket.__name__
        if known:
            if isinstance(out, torch.Tensor) and name in (*LIKE, "full_like", "new_full"):
                self._fill(out, args[-1] if "full" in name else LIKE[name])
            elif name.endswith("_") and isinstance(args[0], torch.Tensor):
                self._lose(args[0])
            return
        made = [t for t in tree_flatten(out)[0] if isinstance(t, torch.Tensor)]
        given = [t for t in tree_flatten((args, dict(kwargs)))[0] if isinstance(t, torch.Tensor)]
        random = torch.Tag.nondeterministic_seeded in func.tags or "empty" in name
        if random or any(t.numel() > LARGEST for t in made) or any(self.of(t) is None for t in given):
            if name.endswith("_") and given:
                self._lose(given[0])
            return
        try:
            with _double(), torch.no_grad():
                values = func(*tree_map(self._plain, args), **tree_map(self._plain, dict(kwargs)))
        except Exception:  # what cannot be worked out is not known
            return
        for tensor, value in zip(
            made, (v for v in tree_flatten(values)[0] if isinstance(v, torch.Tensor)), strict=True
        ):
            self.put(tensor, value)

    def _fill(self, tensor: torch.Tensor, number: Any) -> None:
        if tensor.numel() <= LARGEST and isinstance(number, (int, float)):
            self.put(tensor, torch.full(tensor.shape, number, dtype=torch.float64, device="cpu"))

    def _lose(self, tensor: torch.Tensor) -> None:
        if (held := self._values.get(id(tensor))) is not None:
            self._lost.add(held.untyped_storage()._cdata)
            self._alive.append(held)

    def _plain(self, item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return self.of(item)
        if isinstance(item, torch.device):
            return torch.device("cpu")
        return torch.float64 if isinstance(item, torch.dtype) and item.is_floating_point else item


def as_mask(operation: str, args: Sequence[Any], values: torch.Tensor) -> tuple[str, torch.Tensor]:
    """Return an operation with `args`, the constant `values` among them, as the sum with a mask that bars values from a
    softmax, in whichever way code writes that; as it is if it bars none."""
    name, last = operation.rstrip("_"), args[-1]
    barring = isinstance(last, (int, float)) and last <= -BARS
    if values.dtype == torch.bool and barring and name in ("masked_fill", "where"):
        barred = values if name == "masked_fill" else ~values
        return "mask", torch.zeros(barred.shape, dtype=torch.float64, device="cpu").masked_fill(barred, -FAR)
    if name == "add" and values.is_floating_point() and bool(((values == 0) | (values <= -BARS)).all()):
        return "mask", torch.where(values < 0, -FAR, 0.0)
    return name, values


def summary(operation: str, values: torch.Tensor) -> Number:
    """Return how `values` enter `operation`: their shape, that without what is repeated, their size, and a mixture of
    all that another order changes."""
    plain = torch.view_as_real(values) if values.is_complex() else values
    plain = plain.double().nan_to_num(0.0, FAR, -FAR).clamp(-FAR, FAR)
    for d in range(plain.ndim):
        first = plain.narrow(d, 0, 1)
        plain = first if plain.shape[d] > 1 and bool((plain == first).all()) else plain
    whole, shape = (tuple(size for size in sizes if size > 1) for sizes in (values.shape, plain.shape))
    flat = _halved(plain).flatten()
    weights = torch.cos(1.7 * torch.arange(len(flat), dtype=torch.float64, device="cpu") + 0.3)
    scale = 1.0 / max(len(flat), 1) ** 0.5
    return (operation, whole, shape, float(flat.norm()) * scale, float(flat @ weights) * scale)


def _halved(values: torch.Tensor) -> torch.Tensor:
    """Return `values` without what its last axis holds twice, side by side or half by half: the two orders in which
    rotary embeddings hold the same waves."""
    if not values.ndim or values.shape[-1] % 2 or values.shape[-1] < 4:
        return values
    for first, second in ((values[..., ::2], values[..., 1::2]), values.chunk(2, -1)):
        if bool((first == second).all()):
            return first
    return values


@contextmanager
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
