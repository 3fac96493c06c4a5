"""A state dict in memory, read as a file of it would be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints.files import FileRange
from tli_cli.checkpoints.nested import find_state_dict
from tli_cli.checkpoints.slots import slots_of, specs_of

if TYPE_CHECKING:
    import torch


class StateDict:
    """A state dict, plain or nested in training state; its tensors stay on the device that they are on."""

    format = "state dict"
    order_from = "file"

    def __init__(self, loaded: Any, where: str, ema: str | None = None) -> None:
        self.metadata: dict[str, str] = {}
        found = find_state_dict(loaded, where, ema)
        self._slots, left_out = slots_of(found.tensors, None, Path(where))
        self.ignored = (*found.ignored, *left_out)
        self.tensors = specs_of(self._slots)

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor called `name`, where it is."""
        return self._slots[name].read()

    def file_range(self, name: str) -> FileRange | None:
        """Return None: no file holds it."""
        return None
