"""A live module as an architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tli_cli.architecture import Architecture, InitialValue
from tli_cli.describe.meta import on_meta
from tli_cli.describe.names import describe_names
from tli_cli.describe.trace import state_specs, trace
from tli_cli.errors import TraceError
from tli_cli.providers.inputs import guess_input

TRACEABLE_EXPERTS = "batched_mm"
"""How transformers calls the way to run experts that can be traced on the `meta` device."""


def describe_live(model: nn.Module, example: Any = None) -> Architecture:
    """Return the architecture of a live module: traced on the `meta` device, or told from names where it cannot be run.

    `example` is one batch of input, or its shape with the batch first; without it usual inputs are tried.
    """
    described = _described(model, example)
    return replace(described, initial={**_constant_buffers(model), **described.initial})


def _constant_buffers(model: nn.Module) -> dict[str, InitialValue]:
    """Return how buffers begin that hold one value again and again: nothing was worked out for them, nor found yet."""
    held = {n: t for n, t in model.state_dict().items() if isinstance(t, torch.Tensor) and t.is_floating_point()}
    names = {name for name, _ in model.named_buffers()} & held.keys()
    found = {name: held[name] for name in names if held[name].numel() and not held[name].is_meta}
    return {n: (("fill_", float(t.flatten()[0])),) for n, t in found.items() if bool((t == t.flatten()[0]).all())}


def _described(model: nn.Module, example: Any) -> Architecture:
    origin = type(model).__name__
    twin = _with_plain_experts(on_meta(model).float())
    try:
        arguments = meta_arguments(example) if example is not None else guess_input(lambda: twin, None, origin)
        return trace(twin, arguments, origin=origin)
    except TraceError:
        if example is not None:
            raise
        return describe_names(state_specs(model), order_from="definition", origin=origin)


def _with_plain_experts(twin: nn.Module) -> nn.Module:
    """Return `twin`, a model of `transformers` whose experts are to be run as products of matrices, which do not depend
    on values."""
    for module in twin.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "_experts_implementation"):
            config._experts_implementation = TRACEABLE_EXPERTS
    return twin


def meta_arguments(example: Any) -> tuple[torch.Tensor, ...]:
    """Return `example`, a batch, several, or a shape, as arguments on the `meta` device."""
    if isinstance(example, torch.Tensor):
        return (_as_float(example),)
    if isinstance(example, (tuple, list)) and all(isinstance(size, int) for size in example):
        return (torch.empty(*example, device="meta"),)
    return tuple(_as_float(item) for item in example)


def _as_float(example: torch.Tensor) -> torch.Tensor:
    return example.to("meta", torch.float32) if example.is_floating_point() else example.to("meta")
