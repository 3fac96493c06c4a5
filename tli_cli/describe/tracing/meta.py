"""A model's twin on the `meta` device, the same modules and ties and no values, and how to run what has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

Model = TypeVar("Model", bound=nn.Module)

_INDEXED = ("index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_")


def on_meta(model: Model) -> Model:
    """Return a copy of `model` on the `meta` device; tensors shared by modules stay shared.

    No value is copied but single numbers that are no part of the state, which are written in code.
    """
    stored = {id(tensor) for tensor in model.state_dict(keep_vars=True).values()}
    memo: dict[int, object] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in model.buffers():
        if buffer.ndim or buffer.is_meta or id(buffer) in stored:
            memo[id(buffer)] = torch.empty_like(buffer, device="meta")
        else:
            memo[id(buffer)] = buffer.detach().cpu()
    for made in (value for module in model.modules() for value in vars(module).values()):
        if isinstance(made, torch.Tensor) and not made.is_leaf:  # such as a weight that a norm of weights works out
            memo[id(made)] = torch.empty_like(made, device="meta")
    return deepcopy(model, memo)


def tensors_in(arguments: Iterable[Any]) -> list[torch.Tensor]:
    """Return the tensors among `arguments`, those in lists among them included."""
    flat: list[torch.Tensor] = []
    for item in arguments:
        if isinstance(item, torch.Tensor):
            flat.append(item)
        elif isinstance(item, (list, tuple)):
            flat.extend(tensors_in(item))
    return flat


class NumbersInHand(TorchFunctionMode):
    """Make single floating numbers on the CPU, so that they keep their values in a model that is built on `meta`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is torch.tensor and args and type(args[0]) is float and given.get("device") is None:
            given["device"] = "cpu"
        return func(*args, **given)


class _Assumptions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Let what a model asserts of values hold, and number the entries of a list that are not zero: all of them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._overloadpacket.__name__
        if name == "_is_all_true":
            return torch.ones((), dtype=torch.bool, device="cpu")
        if name == "nonzero" and args[0].is_meta:
            return _all_of(args[0])
        if name in _INDEXED:
            args = (args[0], _without_masks(args[1]), *args[2:])
        try:
            return func(*args, **(kwargs or {}))
        except RuntimeError:  # some operations take no numbers from another device
            here = [_is_here(arg) for arg in tensors_in(args)]
            if not any(here):
                raise
            return func(*tree_map(lambda arg: arg.to("meta") if _is_here(arg) else arg, args), **(kwargs or {}))


def _is_here(value: Any) -> bool:
    """Tell whether a value holds numbers that were made on the CPU, and not just one."""
    return isinstance(value, torch.Tensor) and value.ndim > 0 and not value.is_meta


def _all_of(mask: torch.Tensor) -> torch.Tensor:
    """Return the places of all entries of `mask`, a row for each; of a list, real numbers."""
    if mask.ndim == 1:
        return torch.arange(len(mask), device="cpu").unsqueeze(1)
    return torch.empty((mask.numel(), mask.ndim), dtype=torch.int64, device="meta")


def _without_masks(indices: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """Return `indices` with the places of all entries for each mask among them."""
    found: list[torch.Tensor | None] = []
    for index in indices:
        if index is not None and index.is_meta and index.dtype in (torch.bool, torch.uint8):
            found += _all_of(index).to("meta").unbind(1)
        else:
            found.append(index)
    return found


@contextmanager
def without_values() -> Iterator[None]:
    """Let a model that asks know that it is traced, as `torch.compile` does, so that it looks at no values; where it
    picks what is not zero, all is taken to be, and where it sets the precision on its device, which is `meta`, nothing
    is set."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    torch.autocast.__init__ = _autocast  # type: ignore[method-assign]
    try:
        with _Assumptions():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.autocast.__init__ = _SET_PRECISION  # type: ignore[method-assign]
        torch.compiler._is_compiling_flag = before


_SET_PRECISION = torch.autocast.__init__


def _autocast(self: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
    """Set the precision of a device as torch does; that of the CPU in the place of `meta`, for which it has none."""
    _SET_PRECISION(self, "cpu" if device_type == "meta" else device_type, *args, **kwargs)
