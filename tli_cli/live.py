"""Injection between live modules, in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.describe.meta import on_meta
from tli_cli.describe.names import describe_names
from tli_cli.describe.trace import state_specs, trace
from tli_cli.errors import TliError, TraceError
from tli_cli.fitting.choice import fitted_plan, gains
from tli_cli.fitting.files import before_fits, fitted_state
from tli_cli.injector import injector_for
from tli_cli.options import Options
from tli_cli.plan import Plan, Step
from tli_cli.planning.injection import plan_injection
from tli_cli.starting import CONSTANTS, constant_start


def describe_live(model: nn.Module, example: Any = None) -> Architecture:
    """Return the architecture of a live module: traced on the `meta` device, or told from names where it cannot be run.

    `example` is one batch of input, or its shape with the batch first; without it usual inputs are tried.
    """
    from tli_cli.providers.inputs import guess_input

    origin = type(model).__name__
    twin = on_meta(model).float()
    try:
        arguments = _arguments(example) if example is not None else guess_input(lambda: twin, None, origin)
        return trace(twin, arguments, origin=origin)
    except TraceError:
        if example is not None:
            raise
        return describe_names(state_specs(model), order_from="definition", origin=origin)


def _arguments(example: Any) -> tuple[torch.Tensor, ...]:
    if isinstance(example, torch.Tensor):
        return (_as_float(example),)
    if isinstance(example, (tuple, list)) and all(isinstance(size, int) for size in example):
        return (torch.empty(*example, device="meta"),)
    return tuple(_as_float(item) for item in example)


def _as_float(example: torch.Tensor) -> torch.Tensor:
    return example.to("meta", torch.float32) if example.is_floating_point() else example.to("meta")


def apply_tli(
    model: nn.Module,
    teacher: nn.Module | Sequence[nn.Module],
    *,
    example: Any = None,
    teacher_example: Any = None,
    options: Options = Options(),
) -> Plan:
    """Inject the weights of `teacher` into `model`, in place, and return the plan that was carried out.

    `model` is the target and `teacher` the source (the paper's words). What nothing is injected into keeps its
    value. Both may live on any device; the arithmetic is done where the teacher's tensors are. `example` is a batch
    of input for the model (or its shape), `teacher_example` one for the teacher where it takes another.

    Raises:
        TliError: a model cannot be run on the given example, or an option is unknown.
    """
    teachers = [teacher] if isinstance(teacher, nn.Module) else list(teacher)
    target = describe_live(model, example)
    sources = [describe_live(t, teacher_example if teacher_example is not None else example) for t in teachers]
    plan = plan_injection(target, sources, options, keep_values="target")
    plan, sample = _add_fits(plan, (model, target), (teachers, sources), example, options)
    states = [t.state_dict() for t in teachers]
    own = model.state_dict()

    def initial(step: Step) -> torch.Tensor:
        value = own[step.target]
        return constant_start(step.initial, value.shape, value.dtype) if step.initial in CONSTANTS else value

    injector = injector_for(before_fits(plan), lambda index, name: states[index][name].detach(), initial)
    made = {step.target: injector.make(step).to(own[step.target]) for step in injector.plan.steps}
    if plan.fits:
        try:
            made |= fitted_state(plan, model, teachers[0], made, sample, injector.maps)
        except TliError as error:
            if options.method == "fit":
                raise
            plan = replace(before_fits(plan), fits=(), notes=(*plan.notes, f"not fitted: {error}"))
    with torch.no_grad():
        for name, value in made.items():
            own[name].copy_(value)
    return plan


def _add_fits(
    plan: Plan,
    target: tuple[nn.Module, Architecture],
    sources: tuple[Sequence[nn.Module], Sequence[Architecture]],
    example: Any,
    options: Options,
) -> tuple[Plan, tuple[torch.Tensor, ...]]:
    """Return the plan with fits where they are asked for or promise most, and zeros of the models' inputs' shape."""
    from copy import deepcopy

    from tli_cli.providers.inputs import guess_input

    wanted = options.method == "fit" or (options.method == "auto" and gains(plan))
    if not wanted or len(sources[0]) != 1 or not target[1].graph or not sources[1][0].graph:
        return plan, ()
    arguments = _arguments(example) if example is not None else guess_input(lambda: deepcopy(target[0]), None, "")
    sample = tuple(torch.zeros(t.shape, dtype=t.dtype) for t in arguments)
    models = [deepcopy(m).float().cpu() for m in (target[0], sources[0][0])]
    return fitted_plan(plan, target[1], sources[1][0], models[0], models[1], sample), sample
