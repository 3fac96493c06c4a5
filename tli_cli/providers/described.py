"""Build, record and trace a model: its architecture, and what its constructor ran on its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn

from tli_cli.architecture import Architecture, InitialValue
from tli_cli.catalogue.computed import LARGE, Sparing, computed_constants, computed_values
from tli_cli.catalogue.record import COMPUTED, Recorder, initial_values
from tli_cli.catalogue.subjects import Subject
from tli_cli.describe.from_names.names import describe_names
from tli_cli.describe.tracing.meta import NumbersInHand, on_meta
from tli_cli.describe.tracing.trace import state_specs, trace
from tli_cli.errors import TliError, TraceError, first_line

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Variant:
    """A model built with `options`: the shapes of its tensors, and what its constructor ran on them."""

    options: Mapping[str, int]
    shapes: Shapes
    initial: Mapping[str, InitialValue]


def record(subject: Subject, options: Mapping[str, int]) -> tuple[nn.Module, Variant, list[str]]:
    """Build and record; also return the tensors whose values are computed, from drawn numbers perhaps.

    A constructor that reads values, which `meta` tensors do not have, is run on the CPU.
    """
    try:
        with torch.device("meta"), NumbersInHand(), Recorder() as recorder:
            model = subject.create(**options)
    except (NotImplementedError, RuntimeError):
        with Sparing(), Recorder() as recorder:
            model = subject.create(**options)
    state = _state(model)
    values = initial_values(recorder, state)
    programs = {name: recorder.program(state[name]) for name, value in values.items() if value == COMPUTED}
    drawn = [name for name, program in programs.items() if program is not None and program.random]
    return model, Variant(options, {name: tuple(tensor.shape) for name, tensor in state.items()}, values), drawn


def prepared(subject: Subject, options: Mapping[str, int]) -> tuple[nn.Module, Variant]:
    """Build with every initial value known; raise `TraceError` where the model cannot be built."""
    try:
        model, variant, drawn = record(subject, options)
        unknown = [name for name, value in variant.initial.items() if value == COMPUTED]
        large = max((prod(variant.shapes[name]) for name in drawn), default=0)
        known = computed_values(lambda: subject.create(**options), unknown, drawn, max(large, LARGE))
    except TliError:
        raise
    except Exception as error:
        said = first_line(error)
        given = f" with {dict(options)}" if options else ""
        raise TraceError(f"{subject.library} {subject.name}".strip() + f": cannot be built{given}: {said}") from error
    return on_meta(model), replace(variant, initial={**variant.initial, **known})


def described(subject: Subject, options: Mapping[str, int], origin: str) -> tuple[Architecture, Variant, str]:
    """Build and trace; where it cannot be traced, take the order of definition, and say so in the third part."""
    model, variant = prepared(subject, options)
    architecture, problem = run(subject, model, options, origin)
    return replace(architecture, initial=dict(variant.initial)), variant, problem


def run(subject: Subject, model: nn.Module, options: Mapping[str, int], origin: str) -> tuple[Architecture, str]:
    """Trace `model`, or describe it by its names where it cannot be traced; the second part says why."""
    try:
        inputs = subject.arguments(options.get("in_chans"))
        constants = computed_constants(lambda: subject.create(**options), model)
        return trace(model, inputs, kwargs=subject.keywords, constants=constants, origin=origin), ""
    except TraceError as error:
        return describe_names(state_specs(model), order_from="definition", origin=origin), str(error)


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    state = model.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
