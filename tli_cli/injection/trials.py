"""Try whether a start is worth its source on made-up tasks, and give heads the scale that their input asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.devices import reproducible
from tli_cli.fitting.choice import VALUES
from tli_cli.fitting.head_input import bare_head, draw_smaller, head_factor
from tli_cli.fitting.plain_starts import OWN, RULES, PlainStarts, Starts, started
from tli_cli.fitting.running import load_values, run_target
from tli_cli.fitting.samples import samples_for
from tli_cli.fitting.trial import Trial
from tli_cli.fitting.verdict import check_start, without_source
from tli_cli.fitting.work import forward_work
from tli_cli.injection.injector import Injector
from tli_cli.options import Options
from tli_cli.plan import Plan, Step
from tli_cli.planning.relation import of_another_family
from tli_cli.references import Reference
from tli_cli.report import Progress

LOOKED = 32
"""The most made-up samples on which is looked at what a head reads."""
LOOKING = 2e10
"""About how many multiplications that may take."""


def tried(
    injector: Injector, plan: Plan, target: Reference, options: Options, progress: Progress | None = None
) -> None:
    """Raise `SlowerThanPlain` where the target learns a made-up task slower from what `injector` makes by `plan`, which
    fits nothing, than from a start without a source; nothing is tried where the target cannot be run here."""

    def made() -> tuple[nn.Module, Starts, Sequence[torch.Tensor]]:
        mine = run_target(target, options)
        plain = starts_without(injector, plan, mine.model, target)
        load_values(mine.model, {step.target: injector.make(step) for step in plan.steps}, target.text)
        return mine.model, plain, mine.sample

    _try(plan, target.architecture, made, progress)


def head_start(
    plan: Plan, target: Reference, made: Callable[[Step], torch.Tensor], options: Options
) -> tuple[str, float]:
    """Return the weight of the target's fresh head that starts smaller than its constructor draws it, where values that
    nothing normalises are large, and by which factor; no name where there is none, or the target cannot be run here.

    `made` gives what `plan` makes of each tensor.
    """
    weight, work = bare_head(plan, target.architecture), max(forward_work(target.architecture), 1)
    held = sum(spec.size for spec in target.architecture.tensors)
    if weight is None or work > LOOKING or held > VALUES:
        return "", 1.0
    try:
        mine = run_target(target, options)
        load_values(mine.model, {step.target: made(step) for step in plan.steps}, target.text)
        inputs = samples_for(mine.sample, mine.model, int(min(LOOKED, LOOKING // work)), plan.seed)
        factor = head_factor(mine.model, weight, inputs)
    except Exception:  # a model's own code may raise anything
        return "", 1.0
    return (weight, factor) if factor != 1.0 else ("", 1.0)


def tried_live(
    plan: Plan,
    architecture: Architecture,
    target: nn.Module,
    made: Mapping[str, torch.Tensor],
    sample: Sequence[torch.Tensor],
) -> None:
    """Do what `tried` does for a live target, of which `made` is what the plan gives; it may keep its values alone."""

    _try(plan, architecture, lambda: (*live_start(target, made), sample))


def live_start(target: nn.Module, made: Mapping[str, torch.Tensor]) -> tuple[nn.Module, Starts]:
    """Return a copy of `target` with what was `made` for it, and what gives it as it is."""
    plain = deepcopy(target).cpu().float()
    copy = deepcopy(plain)
    load_values(copy, made, type(target).__name__)
    return copy, (lambda _: plain, (OWN,))


def _try(
    plan: Plan,
    architecture: Architecture,
    made: Callable[[], tuple[nn.Module, Starts, Sequence[torch.Tensor]]],
    progress: Progress | None = None,
) -> None:
    if not Trial.is_short(forward_work(architecture)):
        return
    try:
        target, plain, sample = made()
    except Exception:  # a model's own code may raise anything
        return
    trial = Trial.for_inputs(sample, forward_work(architecture), plan.seed, progress)
    if trial is not None and not of_another_family(plan):
        trial = replace(trial, restoring=True) if trial.restores(target) else None
    if trial is not None:
        draw_smaller(target, bare_head(plan, architecture), samples_for(sample, target, LOOKED, plan.seed))
        with reproducible(torch.device("cpu")):
            check_start(PlainStarts(trial, *plain), target, plan)


def starts_without(injector: Injector, plan: Plan, model: nn.Module, target: Reference) -> Starts:
    """Return what gives copies of `model` as it starts without the source of `plan`, or with values of its own."""

    def made(rule: str) -> nn.Module:
        steps = started(without_source(plan), target.architecture, rule).steps
        copy = deepcopy(model)
        load_values(copy, {step.target: injector.initial(step) for step in steps}, target.text)
        return copy

    return made, ((OWN,) if target.checkpoint is not None else RULES)
