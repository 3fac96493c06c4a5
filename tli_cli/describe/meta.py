"""A model's twin on the `meta` device, the same modules and ties and no values, and how to run what has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import nn
from torch.fx.experimental import _config
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

Model = TypeVar("Model", bound=nn.Module)


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


class NumbersInHand(TorchFunctionMode):
    """Make single floating numbers on the CPU, so that they keep their values in a model that is built on `meta`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is torch.tensor and args and type(args[0]) is float and given.get("device") is None:
            given["device"] = "cpu"
        return func(*args, **given)


class _Assertions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Let what a model asserts of values hold."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._overloadpacket.__name__ == "_is_all_true":
            return torch.ones((), dtype=torch.bool, device="cpu")
        return func(*args, **(kwargs or {}))


@contextmanager
def without_values() -> Iterator[None]:
    """Let a model that asks know that it is traced, as `torch.compile` does, so that it looks at no values; where it
    picks what is not zero, all is taken to be."""
    before = torch.compiler._is_compiling_flag, _config.meta_nonzero_assume_all_nonzero
    torch.compiler._is_compiling_flag = _config.meta_nonzero_assume_all_nonzero = True
    try:
        with _Assertions():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.compiler._is_compiling_flag, _config.meta_nonzero_assume_all_nonzero = before
