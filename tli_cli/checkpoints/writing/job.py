"""How a checkpoint is written: what makes its tensors, what is noted in it, and which process writes what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.writing.contents import Produced
from tli_cli.checkpoints.writing.ranks import ALONE, Ranks

Produce = Callable[[TensorSpec], Produced]
Progress = Callable[[TensorSpec], None]


@dataclass(frozen=True)
class Job:
    """What every format needs to know.

    Attributes:
        produce: called once for each tensor, in the order of writing; returns a tensor of that shape and dtype, its
            bytes, where they stand in a file (then they are not decoded), or what makes them part by part.
        notes: what is written beside the tensors.
        max_shard_size: how many bytes a file may hold; those that hold more are parted in shards.
        force: whether what is there is replaced.
        progress: told of each tensor that is written.
        ranks: which process this is; each writes its share.
    """

    produce: Produce
    notes: Mapping[str, str] = field(default_factory=dict)
    max_shard_size: int | None = None
    force: bool = False
    progress: Progress | None = None
    ranks: Ranks = ALONE

    def done(self, spec: TensorSpec) -> None:
        """Tell that a tensor is written."""
        if self.progress is not None:
            self.progress(spec)
