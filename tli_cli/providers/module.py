"""A live module as an architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from tli_cli.architecture import Architecture, InitialValue
from tli_cli.catalogue.computed import exactly
from tli_cli.catalogue.detection import one_batch, without_crops
from tli_cli.describe.from_names.names import describe_names
from tli_cli.describe.tracing.constants import LARGEST, unsaved
from tli_cli.describe.tracing.meta import on_meta
from tli_cli.describe.tracing.trace import state_specs, trace
from tli_cli.errors import TliError, TraceError
from tli_cli.initial import stored
from tli_cli.options import InputShape
from tli_cli.providers.effective import made_plain
from tli_cli.providers.inputs import Inputs, first_that_runs, guess_input, takes_by_name

FEWEST, LOOKED_AT = 8, 4096
"""Of how many values on can be told whether they were drawn, and at how many of them is looked."""
MOST = 400_000_000
"""The most values of a model that is copied, 1.6 GB in single precision."""
TRACEABLE_EXPERTS = "batched_mm"
"""How transformers calls the way to run experts that can be traced on the `meta` device."""


def describe_live(model: nn.Module, example: Any = None, like: InputShape | None = None) -> Architecture:
    """Return the architecture of a live module: traced on the `meta` device, or told from names where it cannot be run.

    `example` is one batch of input, or its shape with the batch first; without it usual inputs are tried, first of all
    samples that are `like` those of another model, perhaps of other channels.
    """
    return described_live(model, example, like)[0]


@torch.inference_mode(mode=False)  # which has no views of its own to follow
def described_live(
    model: nn.Module, example: Any = None, like: InputShape | None = None
) -> tuple[Architecture, Inputs]:
    """Return what `describe_live` returns, and what the module was run on: nothing where it cannot be run."""
    described, inputs = _described(model, example, like)
    starts = {name: value for name, value in _buffer_starts(model).items() if name in described.by_name}
    return replace(described, initial={**starts, **described.initial}), inputs


def _buffer_starts(model: nn.Module) -> dict[str, InitialValue]:
    """Return how buffers begin, as far as their values tell: filled with one, drawn (or found) or worked out."""
    names = {name for name, _ in model.named_buffers()}
    held = {n: t for n, t in model.state_dict().items() if n in names and isinstance(t, torch.Tensor)}
    found = {n: t.detach().cpu() for n, t in held.items() if 0 < t.numel() <= LARGEST and not t.is_meta}
    return {n: _start(t) for n, t in found.items() if t.layout == torch.strided and not t.is_quantized}


def _start(values: torch.Tensor) -> InitialValue:
    if not values.is_floating_point() or bool((values == values.flatten()[0]).all()):
        return exactly(values)
    plain = values.double()
    return (("normal_", float(plain.mean()), float(plain.std())),) if _looks_drawn(plain) else stored(values.float())


def _looks_drawn(values: torch.Tensor) -> bool:
    """Tell whether no value stands twice and none of the axes is in order, as neither masks nor waves nor grids are."""
    first = values.flatten()[:LOOKED_AT]
    steps = [values.diff(dim=d) for d in range(values.ndim) if values.shape[d] > 2]
    ordered = any(bool((step >= 0).all() or (step <= 0).all()) for step in steps)
    return len(first) >= FEWEST and len({*first.tolist()}) == len(first) and not ordered


def _described(model: nn.Module, example: Any, like: InputShape | None) -> tuple[Architecture, Inputs]:
    origin = type(model).__name__

    def prepare(copy: nn.Module) -> nn.Module:
        return without_crops(_with_plain_experts(made_plain(copy, model)))

    def followed(twin: nn.Module) -> tuple[Architecture, Inputs]:
        inputs = given or guess_input(lambda: twin, like, origin)
        constants = {name: buffer.cpu() for name, buffer in unsaved(model).items() if not buffer.is_meta}
        return trace(twin, inputs.args, kwargs=inputs.kwargs, constants=constants, origin=origin), inputs

    twin = prepare(on_meta(model)).float()
    given = None if example is None else meta_inputs(twin, one_batch(twin, example))
    try:
        return followed(twin)
    except TraceError as error:
        if _is_of_other_precision(model):  # which its code may name
            with suppress(TraceError):
                return followed(prepare(on_meta(model)))
        if example is not None:
            batch = one_batch(twin, example)
            return _traced_on_values(model, batch, lambda copy: prepare(copy).float(), origin, error), given or Inputs()
        return describe_names(state_specs(twin), order_from="definition", origin=origin), Inputs()


def _is_of_other_precision(model: nn.Module) -> bool:
    return any(held.is_floating_point() and held.dtype != torch.float32 for held in model.parameters())


def _traced_on_values(
    model: nn.Module, batch: Any, prepare: Callable[[nn.Module], nn.Module], origin: str, error: TraceError
) -> Architecture:
    """Return the architecture of `model`, run once on `batch`; `prepare` makes of a copy what can be followed. Raise
    `error`, which `meta` raised, where the model or the batch has no values, or the model too many."""
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


def _with_plain_experts(twin: nn.Module) -> nn.Module:
    """Return `twin`, a model of `transformers` whose experts are to be run as products of matrices, which do not depend
    on values."""
    for module in twin.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "_experts_implementation"):
            config._experts_implementation = TRACEABLE_EXPERTS
    return twin


def meta_inputs(model: nn.Module, example: Any) -> Inputs:
    """Return `example`, a batch, several, a dictionary of them, or shapes of them, on the `meta` device.

    Raises:
        TliError: it is none of these.
    """
    if isinstance(example, Mapping):
        named = {str(name): value for name, value in example.items()}
        if _are_shapes(named.values()):
            return first_that_runs(model, [tuple(shape) for shape in named.values()], tuple(named))
        given = tree_map(_on_meta, named)
        return Inputs(kwargs=given) if takes_by_name(model, tuple(named)) else Inputs((given,))
    if isinstance(example, torch.Tensor):
        return Inputs((_on_meta(example),))
    if not isinstance(example, (tuple, list)):
        raise TliError(
            f"example: expected a batch (a tensor, several in a tuple, or a dictionary of them) or its shape such as "
            f"(1, 3, 224, 224), found {type(example).__name__}"
        )
    if _are_shapes([example]):
        return first_that_runs(model, [tuple(example)])
    if _are_shapes(example):
        return first_that_runs(model, [tuple(shape) for shape in example])
    return Inputs(tuple(tree_map(_on_meta, list(example))))


def _are_shapes(values: Iterable[Any]) -> bool:
    found = list(values)
    return bool(found) and all(
        isinstance(value, (tuple, list)) and all(type(size) is int for size in value) for value in found
    )


def _on_meta(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to("meta", torch.float32) if value.is_floating_point() else value.to("meta")
