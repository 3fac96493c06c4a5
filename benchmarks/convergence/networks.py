"""Networks as values: which file and factory build them, with which arguments."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
INPUT_SHAPE = (3, 16, 16)


@dataclass(frozen=True)
class Net:
    """A factory of one of the files beside this one, and its arguments."""

    file: str
    factory: str
    args: tuple[tuple[str, int | str], ...]

    def reference(self, classes: int) -> str:
        """Return what `tli` is told: `path/to/file.py:factory?classes=10&width=16`."""
        query = "&".join(f"{key}={value}" for key, value in (("classes", classes), *self.args))
        return f"{HERE / self.file}.py:{self.factory}?{query}"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of the images that the networks of this file take."""
        shape: tuple[int, int, int] = getattr(self._module, "INPUT_SHAPE", INPUT_SHAPE)
        return shape

    @property
    def _module(self) -> ModuleType:
        return import_module(f"benchmarks.convergence.{self.file}")

    def build(self, classes: int, seed: int) -> nn.Module:
        """Return the network with its constructor's own start, drawn from `seed`."""
        factory = getattr(self._module, self.factory)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return factory(classes=classes, **dict(self.args))

    def __str__(self) -> str:
        return " ".join([self.factory, *(f"{key}={value}" for key, value in self.args)])


def head_of(model: nn.Module) -> tuple[str, nn.Linear]:
    """Return the name and the module of the classifier: the last linear layer."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
