"""What is carried out of a plan, by what its start is worth against those without a source."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.errors import TliError
from tli_cli.fitting.choice import FITTED
from tli_cli.fitting.plain_starts import BETTER, OWN, PlainStarts, started
from tli_cli.fitting.trial import FASTER
from tli_cli.fitting.worth import Worth
from tli_cli.plan import Plan, Step
from tli_cli.planning.relation import UNLIKE, of_another_family

SAID = {OWN: "nothing is moved", "kaiming": "weights are drawn as Kaiming", "xavier": "weights are drawn as Xavier"}
"""What is said of a target that starts without a source."""

BEHIND = 0.05
"""By how much of the variance axis maps may be behind a plain start, on average over the steps, where a target of their
source's family gives back what it takes."""


class SlowerThanPlain(TliError):
    """What the source gives is worth less than a start without it: the constructor's own, or one by another `rule`."""

    def __init__(self, said: str, rule: str = OWN) -> None:
        super().__init__(said)
        self.rule = rule


def check_worth(
    worth: Worth | None, plains: PlainStarts | None, target: nn.Module, begun: nn.Module | None, plan: Plan
) -> None:
    """Raise `TliError` where the fitted `target` is worth less than a start without a source or than `begun`, what the
    axis maps of `plan` alone make of it, and `SlowerThanPlain` where `begun`, of another family than its source, is not
    worth more than that start.

    Within a family, where maps keep more, a fit has to be as good as either, and they are moved without it.
    """
    name = type(target).__name__
    other = of_another_family(plan)
    by = FASTER if other else BETTER
    slower = f"in a short trial on made-up classes, {name} learns slower when fitted than"
    if worth is not None and worth.is_nothing:
        said = f"on made-up inputs that it has not seen, {name} tells no more of what its source computes than before"
    elif plains is not None and plains.learn_faster(target, by if _is_fitted(plan) or not other else -BETTER):
        said = f"{slower} as it starts without a source; --method fit fits all the same"
    elif plains and begun is not None and plan.relation != UNLIKE and plains.outdoes(begun, target, by):
        said = f"{slower} by axis maps alone; --method fit fits all the same"
    else:
        return
    idle = other and (plan.relation == UNLIKE or (plains and begun is not None and plains.learn_faster(begun, -BETTER)))
    raise SlowerThanPlain(said, plains.rule if plains is not None else OWN) if idle else TliError(said)


def _is_fitted(plan: Plan) -> bool:
    """Tell whether most of what `plan` feeds is fitted: else its start is as good as what axis maps make."""
    sizes = [(prod(step.shape), step.resizer == "fit") for step in plan.steps if step.action == "transfer"]
    return 2 * sum(size for size, fitted in sizes if fitted) >= sum(size for size, _ in sizes)


def check_start(plains: PlainStarts, target: nn.Module, plan: Plan) -> None:
    """Raise `SlowerThanPlain` where `target`, as `plan` starts it without a fit, is worth no more than a start without
    a source; where it moves nothing, where that is another than the constructor's own."""
    made_up, by = ("noise that it is to take off", BEHIND) if plains.trial.restoring else ("classes", -BETTER)
    said = f"in a short trial on made-up {made_up}, {type(target).__name__} learns as fast so, or faster"
    if plains.rule != OWN if plan.relation == UNLIKE else plains.learn_faster(target, by):
        raise SlowerThanPlain(said, plains.rule)


def carried_out(plan: Plan, error: TliError, target: Architecture) -> tuple[Plan, str]:
    """Return what is carried out of `plan` for `target` where `error` was raised of it, and what is said of that."""
    if not isinstance(error, SlowerThanPlain) and plan.relation != UNLIKE:
        return without_fits(plan), f"not fitted, injected by axis maps alone: {error}"
    rule = error.rule if isinstance(error, SlowerThanPlain) else OWN
    said = f"{SAID[rule]}: {error}"
    return started(without_source(plan), target, rule), f"not fitted, {said}" if plan.fits else said


def before_fits(plan: Plan) -> Plan:
    """Return `plan` as it is carried out before its fits: what they change is first made from the pieces, or kept."""
    return replace(plan, steps=tuple(_first(step) for step in plan.steps)) if plan.fits else plan


def without_fits(plan: Plan) -> Plan:
    """Return `plan` as it is carried out where its fits are worth nothing, and by axis maps alone."""
    return replace(before_fits(plan), fits=(), notes=tuple(note for note in plan.notes if FITTED not in note))


def without_source(plan: Plan) -> Plan:
    """Return `plan` as it is carried out where nothing is moved: each tensor starts as it would without a source, or
    keeps the target's own values where that has such."""
    own = "target" if any(step.initial == "target" for step in plan.steps) else OWN
    steps = (replace(step, action="keep", resizer="", pieces=(), initial=own, exact=False) for step in plan.steps)
    return replace(without_fits(plan), steps=tuple(steps))


def _first(step: Step) -> Step:
    if step.resizer != "fit":
        return step
    return replace(step, resizer="maps") if step.pieces else replace(step, action="keep", resizer="")
