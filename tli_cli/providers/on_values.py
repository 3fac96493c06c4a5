"""A live module whose code asks for values, such as where an image ends or which expert a token goes to: what has none
cannot be run, so a copy with its values is followed on the values of the example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from tli_cli.architecture import Architecture
from tli_cli.describe.tracing.trace import trace
from tli_cli.errors import TraceError
from tli_cli.providers.inputs import takes_by_name

MOST = 400_000_000
"""The most values of a model that is copied, 1.6 GB in single precision."""


def traced_on_values(
    model: nn.Module, batch: Any, prepare: Callable[[nn.Module], nn.Module], origin: str, error: TraceError
) -> Architecture:
    """Return the architecture of `model`, run once on `batch`; `prepare` makes of a copy what can be followed.

    Raises:
        TraceError: `error`, which the `meta` device raised, where the model or the batch has no values, the model too
            many, or it does not run on them either.
    """
    held = [*model.parameters(), *model.buffers()]
    given = [value for value in tree_leaves(batch) if isinstance(value, torch.Tensor)]
    if not given or any(tensor.is_meta for tensor in (*held, *given)) or sum(t.numel() for t in held) > MOST:
        raise error
    copy = prepare(deepcopy(model).cpu())
    batch = tree_map(_plain, batch)
    named = isinstance(batch, Mapping) and takes_by_name(copy, tuple(map(str, batch)))
    args = () if named else tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)
    return trace(copy, args, kwargs=batch if named else {}, origin=origin)


def _plain(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to("cpu", torch.float32) if value.is_floating_point() else value.cpu()
