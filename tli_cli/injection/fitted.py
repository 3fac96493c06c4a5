"""Carry out the fits of a plan between files: build both models, fit, and hand over the tensors that were solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.axis_maps.take import MapValues
from tli_cli.devices import double_device, reproducible, usable_device
from tli_cli.errors import TliError, first_line
from tli_cli.fitting.carry_out import fit_live, known_to_both, seen_by
from tli_cli.fitting.head_input import bare_head, draw_smaller
from tli_cli.fitting.plain_starts import OWN, PlainStarts, Starts
from tli_cli.fitting.running import load_values, run_source, run_target, shared_share
from tli_cli.fitting.samples import samples_for
from tli_cli.fitting.trial import Trial
from tli_cli.fitting.verdict import check_worth
from tli_cli.fitting.work import Work, work_of
from tli_cli.injection.injector import Injector
from tli_cli.injection.trials import LOOKED, live_start, starts_without
from tli_cli.kinship.ancestry import UNTRAINED, looks_untrained
from tli_cli.options import Options
from tli_cli.plan import Plan
from tli_cli.planning.relation import of_another_family
from tli_cli.references import Reference
from tli_cli.report import Progress


def fitted_values(
    injector: Injector,
    plan: Plan,
    source: Reference,
    target: Reference,
    options: Options,
    progress: Progress | None = None,
) -> Mapping[str, torch.Tensor]:
    """Return the tensors of `plan` that are fitted, by target name; `injector` carries out what comes before.

    Raises:
        TliError: one of the models cannot be built here, or does not hold the tensors of the plan.
    """
    if source.checkpoint is None:
        raise TliError(f"{source.text}: no values to fit to")
    require_trained(source.architecture, source.checkpoint.read, source.text, options)
    theirs, mine = run_source(source, options), run_target(target, options)
    load_values(theirs.model, {t.name: source.checkpoint.read(t.name) for t in source.checkpoint.tensors}, source.text)
    share = shared_share(mine, theirs, target.architecture, source.architecture, plan.fit_minutes)
    theirs, mine = theirs.shown(share), mine.shown(share)
    work = work_of(target.architecture, source.architecture, mine.numbers, plan.fit_minutes)
    made = samples_for(mine.sample, theirs.model, work.samples, plan.seed)
    arguments = (made, seen_by(theirs.sample, made))
    plain = starts_without(injector, plan, mine.model, target)
    load_values(mine.model, {step.target: injector.make(step) for step in injector.plan.steps}, target.text)
    device, values = usable_device(options.device), injector.maps
    head = bare_head(plan, target.architecture)
    fitting = _Fitting(plan, mine.model, theirs.model, plain, head, arguments, values, work)
    return fitting.carried_out(options, device, progress)


def fitted_state(
    plan: Plan,
    target: nn.Module,
    source: nn.Module,
    made: Mapping[str, torch.Tensor],
    sample: Sequence[torch.Tensor],
    values: Sequence[MapValues],
    work: Work,
    options: Options,
) -> Mapping[str, torch.Tensor]:
    """Return the tensors of `plan` that are fitted, by target name, on the source's device; the models are copied,
    `made` is what comes before.

    Raises:
        TliError: one of the models fails.
    """
    copy, own = live_start(target, made)
    teacher = deepcopy(source).cpu().float()
    inputs = samples_for(sample, teacher, work.samples, plan.seed)
    device = next((parameter.device for parameter in source.parameters()), torch.device("cpu"))
    fitting = _Fitting(plan, copy, teacher, own, None, (inputs, inputs), values, work)
    return fitting.carried_out(options, device)


def require_trained(
    architecture: Architecture, read: Callable[[str], torch.Tensor], name: str, options: Options
) -> None:
    """Raise `TliError` where `auto` would fit to a source that was never trained: a plain start is worth more."""
    if options.method != "fit" and looks_untrained(architecture, read):
        raise TliError(f"{name} {UNTRAINED}")


@dataclass(frozen=True)
class _Fitting:
    """A fit that is made ready.

    Attributes:
        plan, work: what is fitted, and how much is done for it.
        target, source: the models; the target holds what the plan's steps gave it.
        plain: the target's starts without a source.
        head: the weight of a fresh head, if there is one.
        arguments: made-up inputs as the target sees them, then as the source does.
        values: those of the plan's maps.
    """

    plan: Plan
    target: nn.Module
    source: nn.Module
    plain: Starts
    head: str | None
    arguments: Sequence[Sequence[torch.Tensor]]
    values: Sequence[MapValues]
    work: Work

    def carried_out(
        self, options: Options, device: torch.device, progress: Progress | None = None
    ) -> Mapping[str, torch.Tensor]:
        """Return the tensors that are fitted, by target name; raise `TliError` where the models fail, or where the fit
        is worth less than another start and was not asked for."""
        plan, target, work, (made, rules) = self.plan, self.target, self.work, self.plain
        try:
            given = known_to_both(plan, target, self.source, self.arguments)
            there = _moved([target, self.source], given, device)
            given = tuple(tuple(value.to(there) for value in side) for side in given)
            begun, own = (deepcopy(target), made(OWN).to(there)) if work.unseen else (None, None)
            with reproducible(there):
                worth = fit_live(plan, target, self.source, given, self.values, work, progress, own)
        # Both models are the user's own code, which may fail in any way.
        except Exception as error:
            raise TliError(f"{type(target).__name__} could not be fitted: {first_line(error)}") from error
        if options.method != "fit":
            trial = Trial.for_inputs(given[0], work.target, plan.seed, progress) if work.unseen else None
            doubtful = trial is not None and (of_another_family(plan) or trial.may_mislead(target))
            plains = PlainStarts(trial, lambda rule: made(rule).to(there), rules) if trial and doubtful else None
            for model in filter(None, (target, begun)):
                draw_smaller(model, self.head, [value[:LOOKED] for value in given[0]])
            with reproducible(there):
                check_worth(worth, plains, target, begun, plan)
        state = target.state_dict()
        return {step.target: state[step.target] for step in plan.steps if step.resizer == "fit"}


def _moved(models: Sequence[nn.Module], given: Sequence[Sequence[torch.Tensor]], device: torch.device) -> torch.device:
    """Move `models` to `device`, of which the first two are run on one sample of what is `given` them, and return it;
    to the CPU where one cannot be run there, as it holds tensors that do not move with it."""
    there = double_device(device)
    for model in models:
        model.to(there)
    if there.type != "cpu":
        try:
            with torch.no_grad():
                for model, side in zip(models, given, strict=False):
                    model.eval()(*(value[:1].to(there) for value in side))
        except Exception:  # a model's own code may raise anything
            return _moved(models, given, torch.device("cpu"))
    return there
