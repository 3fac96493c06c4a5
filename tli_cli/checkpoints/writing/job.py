"""How a checkpoint is written: what makes its tensors, what is noted in it, and which process writes what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.writing.contents import Produced
from tli_cli.checkpoints.writing.ranks import Ranks

Produce = Callable[[TensorSpec], Produced]
Progress = Callable[[TensorSpec], None]


@dataclass(frozen=True)
class Job:
    """What every format needs to know: `force` tells that what is there is replaced, `progress` is told each tensor."""

    produce: Produce
    notes: Mapping[str, str]
    force: bool
    progress: Progress | None
    ranks: Ranks

    def done(self, spec: TensorSpec) -> None:
        """Tell that a tensor is written."""
        if self.progress is not None:
            self.progress(spec)
