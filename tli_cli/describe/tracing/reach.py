"""Whether a model has come through all of its layers, whatever fails behind them, as what sorts out boxes by values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Reach:
    """The modules with parameters of their own that have not returned yet; of those with modules inside, that have not
    been called."""

    def __init__(self, model: nn.Module) -> None:
        self._left = {id(m) for m in model.modules() if next(m.parameters(recurse=False), None) is not None}
        self._size = len(self._left)

    @property
    def is_whole(self) -> bool:
        """Whether there were such modules, and none is left."""
        return self._size > 0 and not self._left

    def note(self, module: nn.Module, *_: Any) -> None:
        """Remember that `module` has been come through."""
        self._left.discard(id(module))


@contextmanager
def reach_of(model: nn.Module) -> Iterator[Reach]:
    """Watch which layers of `model` are come through while the context lasts."""
    reach = Reach(model)
    hooks = [
        module.register_forward_pre_hook(reach.note) if list(module.children())
        else module.register_forward_hook(reach.note)
        for module in model.modules()
        if not isinstance(module, torch.jit.ScriptModule)  # which take no hooks
    ]  # fmt: skip
    try:
        yield reach
    finally:
        for hook in hooks:
            hook.remove()
