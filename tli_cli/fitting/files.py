"""Carry out the fits of a plan between files: build both models, fit, and hand over the tensors that were solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from tli_cli.axis_maps.take import MapValues
from tli_cli.devices import double_device, reproducible, usable_device
from tli_cli.errors import TliError, first_line
from tli_cli.fitting.carry_out import fit_live, known_to_both, samples_for, seen_by
from tli_cli.fitting.choice import FITTED
from tli_cli.fitting.evidence import looks_untrained
from tli_cli.fitting.running import run_source, run_target, shared_inputs
from tli_cli.fitting.trial import FASTER, Trial
from tli_cli.fitting.work import Work, work_of
from tli_cli.fitting.worth import Worth
from tli_cli.injection.injector import Injector
from tli_cli.options import Options
from tli_cli.plan import Plan, Step
from tli_cli.planning.relation import of_another_family
from tli_cli.references import Reference
from tli_cli.report import Progress


class SlowerThanPlain(TliError):
    """A fit is worth nothing, and from axis maps alone the target learns slower than from its plain start."""


def before_fits(plan: Plan) -> Plan:
    """Return `plan` as it is carried out before its fits: what they change is first made from the pieces, or kept."""
    return replace(plan, steps=tuple(_first(step) for step in plan.steps)) if plan.fits else plan


def without_fits(plan: Plan) -> Plan:
    """Return `plan` as it is carried out where its fits are worth nothing, and by axis maps alone."""
    return replace(before_fits(plan), fits=(), notes=tuple(note for note in plan.notes if FITTED not in note))


def without_source(plan: Plan) -> Plan:
    """Return `plan` as it is carried out where a fit is worth nothing and nothing is moved: each tensor starts as it
    would without a source, or keeps the target's own values where that has such."""
    own = "target" if any(step.initial == "target" for step in plan.steps) else "constructor"
    steps = (replace(step, action="keep", resizer="", pieces=(), initial=own, exact=False) for step in plan.steps)
    return replace(without_fits(plan), steps=tuple(steps))


def _first(step: Step) -> Step:
    if step.resizer != "fit":
        return step
    return replace(step, resizer="maps") if step.pieces else replace(step, action="keep", resizer="")


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
    theirs, mine = run_source(source, options), run_target(target, options)
    _load(theirs.model, {t.name: source.checkpoint.read(t.name) for t in source.checkpoint.tensors}, source.text)
    _check_trained(theirs.model, source.text, options)
    shared_inputs(mine.sample, theirs.sample)
    work = work_of(target.architecture, source.architecture, mine.numbers)
    made = samples_for(mine.sample, theirs.model, work.samples, plan.seed)
    arguments = (made, seen_by(theirs.sample, made))
    plain = deepcopy(mine.model) if work.unseen else None
    _load(mine.model, {step.target: injector.make(step) for step in injector.plan.steps}, target.text)
    device = usable_device(options.device)
    return _fitted(plan, mine.model, theirs.model, plain, arguments, injector.maps, work, options, device, progress)


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
        TliError: one of the models fails, or the source was never trained and no fit is asked for.
    """
    _check_trained(source, type(source).__name__, options)
    copy = deepcopy(target).cpu().float()
    plain = deepcopy(copy) if work.unseen else None
    _load(copy, made, type(target).__name__)
    teacher = deepcopy(source).cpu().float()
    inputs = samples_for(sample, teacher, work.samples, plan.seed)
    device = next((parameter.device for parameter in source.parameters()), torch.device("cpu"))
    return _fitted(plan, copy, teacher, plain, (inputs, inputs), values, work, options, device)


def _check_trained(source: nn.Module, name: str, options: Options) -> None:
    """Raise `TliError` where `auto` would fit to a source that was never trained: what that computes is worth less than
    a plain start."""
    if options.method != "fit" and looks_untrained(source):
        raise TliError(f"{name} was never trained: all its norms hold what they start with")


def _fitted(
    plan: Plan,
    target: nn.Module,
    source: nn.Module,
    plain: nn.Module | None,
    arguments: Sequence[Sequence[torch.Tensor]],
    values: Sequence[MapValues],
    work: Work,
    options: Options,
    device: torch.device,
    progress: Progress | None = None,
) -> Mapping[str, torch.Tensor]:
    try:
        given = known_to_both(plan, target, source, arguments)
        there = _moved([target, source, *([plain] if plain is not None else [])], given, device)
        given = tuple(tuple(value.to(there) for value in side) for side in given)
        begun = deepcopy(target) if plain is not None else None
        with reproducible(there):
            worth = fit_live(plan, target, source, given, values, work, progress, plain)
    # Both models are the user's own code, which may fail in any way.
    except Exception as error:
        raise TliError(f"{type(target).__name__} could not be fitted: {first_line(error)}") from error
    if options.method != "fit":
        trial = Trial.for_inputs(given[0], work.target, plan.seed) if of_another_family(plan) else None
        with reproducible(there):
            _check_worth(worth, trial, target, begun, plain)
    state = target.state_dict()
    return {step.target: state[step.target] for step in plan.steps if step.resizer == "fit"}


def _check_worth(
    worth: Worth | None, trial: Trial | None, target: nn.Module, begun: nn.Module | None, plain: nn.Module | None
) -> None:
    """Raise `TliError` where the fitted `target` is worth no more than `plain`, its start without a source, and
    `SlowerThanPlain` where `begun`, what the axis maps alone make of it, is worth less than that too."""

    def slower(start: nn.Module | None, by: float) -> bool:
        return trial is not None and plain is not None and start is not None and trial.prefers(plain, start, by)

    name = type(target).__name__
    if worth is not None and worth.is_nothing:
        said = (
            f"on made-up inputs that it was not fitted on, {name} tells no more of what its source computes than before"
        )
    elif slower(target, FASTER):
        said = (
            f"in a short trial on made-up classes, {name} learns slower when fitted than as it starts without a source;"
            " --method fit fits all the same"
        )
    else:
        return
    raise SlowerThanPlain(said) if slower(begun, 0.0) else TliError(said)


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


def _load(model: nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    own = model.state_dict()
    strange = [key for key, value in state.items() if key not in own or own[key].shape != value.shape]
    if strange:
        raise TliError(f"--method fit: {name} builds a model without {', '.join(strange[:5])} of these shapes")
    model.load_state_dict(state, strict=False)
