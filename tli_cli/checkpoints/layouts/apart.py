"""A checkpoint that holds a base model and its adapter, as two."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.checkpoints.checkpoint import Checkpoint, holding
from tli_cli.checkpoints.layouts.low_rank_names import ORIGINAL, SAVED_ALONE


def apart(checkpoint: Checkpoint, factors: Collection[str]) -> tuple[Checkpoint, Checkpoint]:
    """Return the base model in `checkpoint` and its adapter: the tensors `factors`, and the layers that were trained
    whole beside their originals."""
    own = {name for spec in checkpoint.tensors if (name := spec.name) in factors or SAVED_ALONE.search(name)}
    base = {ORIGINAL.sub(".", spec.name): spec.name for spec in checkpoint.tensors if spec.name not in own}
    return holding(checkpoint, base), holding(checkpoint, {name: name for name in own})
