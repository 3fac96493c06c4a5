"""Files as references name them: a path, and behind a `#` the one module in the file that is meant."""

from __future__ import annotations

from collections.abc import Collection
from os.path import exists  # which takes what is too long for a path
from pathlib import Path

from tli_cli.checkpoints.checkpoint import Checkpoint, holding
from tli_cli.checkpoints.names import dotted
from tli_cli.errors import CheckpointError
from tli_cli.registry import did_you_mean

_SHOWN = 8


def located(text: str) -> tuple[Path, str]:
    """Return the path that `text` names, and the module in the file behind it, empty if it names none."""
    path, (file, _, module) = Path(text), text.rpartition("#")
    return (Path(file), module) if file and module and not exists(text) and exists(file) else (path, "")


def is_there(text: str) -> bool:
    """Return whether `text` names a file, a directory or a module in one."""
    return exists(located(text)[0])


def module_of(checkpoint: Checkpoint, module: str, expected: Collection[str]) -> Checkpoint:
    """Return the tensors of `checkpoint` that stand in its module called `module`, under their names there.

    Raises:
        CheckpointError: no module is called so.
    """
    prefix, stored = f"{module.rstrip('.')}.", checkpoint.stored_names
    said = dotted(stored)
    clean = {name: said.get(name, name).removeprefix(prefix) for name in stored if name.startswith(prefix)}
    inside = clean or {n: stored[n].removeprefix(prefix) for n in stored if stored[n].startswith(prefix)}
    if not inside:
        parts = [name.split(".") for name in stored]
        modules = list(dict.fromkeys(".".join(own[:depth]) for depth in (1, 2) for own in parts if len(own) > depth))
        hint = did_you_mean(module, modules) or f"it holds {', '.join(modules[:_SHOWN]) or 'none'}"
        raise CheckpointError(f"{checkpoint.path}: no module called {module!r} in it; {hint}")
    return holding(checkpoint, {name: whole for whole, name in inside.items()}, expected)
