"""Files as references name them: a path, and behind a `#` the one module in the file that is meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os.path import exists  # which takes what is too long for a path
from pathlib import Path
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.names import dotted
from tli_cli.errors import CheckpointError
from tli_cli.registry import did_you_mean

if TYPE_CHECKING:
    import torch

_SHOWN = 8


def located(text: str) -> tuple[Path, str]:
    """Return the path that `text` names, and the module in the file behind it, empty if it names none."""
    path, (file, _, module) = Path(text), text.rpartition("#")
    return (Path(file), module) if file and module and not exists(text) and exists(file) else (path, "")


def is_there(text: str) -> bool:
    """Return whether `text` names a file, a directory or a module in one."""
    return exists(located(text)[0])


class ModuleReader(ReaderOf):
    """The tensors of `checkpoint` that stand in its module called `module`, under their names there."""

    def __init__(self, checkpoint: Checkpoint, module: str) -> None:
        super().__init__(checkpoint)
        prefix, stored = f"{module.rstrip('.')}.", checkpoint.stored_names
        names = [spec.name for spec in checkpoint.tensors]
        said = dotted(names)
        clean = {name: said.get(name, name).removeprefix(prefix) for name in names if name.startswith(prefix)}
        self._inside = clean or {n: stored[n].removeprefix(prefix) for n in stored if stored[n].startswith(prefix)}
        if not self._inside:
            raise CheckpointError(f"{checkpoint.path}: no module called {module!r} in it; {_hint(module, stored)}")
        self._outside = {name: whole for whole, name in self._inside.items()}
        self.tensors = tuple(self._named(spec) for spec in checkpoint.tensors if spec.name in self._inside)

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor that is called `name` in the module, on the CPU."""
        return self._checkpoint.read(self._outside[name])

    def file_range(self, name: str) -> FileRange | None:
        """Return where the contiguous little-endian bytes of `name` stand, None if nowhere in one piece."""
        return self._checkpoint.file_range(self._outside[name])

    def _named(self, spec: TensorSpec) -> TensorSpec:
        return replace(spec, name=self._inside[spec.name], tied_to=self._inside.get(spec.tied_to or ""))


def _hint(module: str, names: Iterable[str]) -> str:
    parts = [name.split(".") for name in names]
    modules = list(dict.fromkeys(".".join(own[:depth]) for depth in (1, 2) for own in parts if len(own) > depth))
    return did_you_mean(module, modules) or f"it holds {', '.join(modules[:_SHOWN]) or 'none'}"
