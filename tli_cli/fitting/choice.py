"""Add fits to a plan, where both models can be run and a fit is asked for or promises most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.errors import TliError
from tli_cli.fitting.building import recipe_for
from tli_cli.fitting.image_size import image_share, of_any_size
from tli_cli.fitting.points import with_fits
from tli_cli.fitting.work import FEW_LOOKS, LOOKS, input_numbers, minutes_for, work_of
from tli_cli.options import Options
from tli_cli.plan import EDITED, Plan, Step
from tli_cli.planning.relation import OTHER, SHORTENED, UNLIKE, of_another_family
from tli_cli.references import Reference

VALUES = 400_000_000
"""The most values that a network may hold, for `auto` to choose a fit: it is made in memory, in float32."""
LEAST_COVERAGE = 0.5
"""How much of an unlike target a fit is to reach, for `auto` to choose it."""
FITTED = "places of the target are fitted to the source's values on made-up inputs"
"""What a plan with fits says of itself."""
IMAGE = 3 * 224 * 224
"""The numbers of an image of unknown size."""

AFRESH = ("constructor", "target")
"""How a tensor starts that neither a source nor what the target is to compute tells anything of."""

Replan = Callable[[], Plan]
"""Make the plan that moves all that can be moved."""


def gains(plan: Plan) -> bool:
    """Tell whether a fit promises more than maps alone: in another family, a narrower network or a shortened chain.

    A target that is only shallower keeps its tensors byte for byte, and trains as fast as a fitted one. A fit changes
    what is to be left as it starts.
    """
    short = SHORTENED in plan.relation and any(len(step.shape) == 4 for step in plan.steps)  # over images
    return (of_another_family(plan) or "narrower" in plan.relation or short) and not plan.leaves_out


def is_tried(plan: Plan) -> bool:
    """Tell whether what `plan` makes without a fit is held against starts without a source when it is carried out: of
    another family, or with layers that start afresh, where the target may turn out to restore what it takes."""
    return (
        plan.method == "auto"
        and not plan.fits
        and (of_another_family(plan) or any(_is_afresh(step) for step in plan.steps))
        and not (plan.leaves_out or EDITED in plan.notes)
    )


def _is_afresh(step: Step) -> bool:
    return step.action == "keep" and len(step.shape) > 1 and step.initial in AFRESH


def feeding(plan: Plan) -> int | None:
    """Return the only source that feeds anything in `plan`; None if there are others, or none."""
    if len(plan.sources) == 1:
        return 0
    models = {piece.model for step in plan.steps for piece in step.pieces}
    return models.pop() if len(models) == 1 else None


def add_fits(plan: Plan, sources: Sequence[Reference], target: Reference, options: Options, replan: Replan) -> Plan:
    """Return `plan` with fits: where the method is `fit`, or where it is `auto`, the target cannot keep the
    function, one source feeds it, both models can be built here and minutes suffice for the fit.

    Where `plan` moves nothing, `replan` gives what a fit sets out from.

    Raises:
        TliError: a fit is asked for, and one of the models cannot be run here.
    """
    asked = options.method == "fit"
    if not asked and not (options.method == "auto" and gains(plan)):
        return plan
    if plan.relation == UNLIKE and target.checkpoint is not None:  # it keeps the values of its own
        return plan
    try:
        return _with_fits(plan, sources, target, options, replan)
    except TliError as error:
        if asked:
            raise
        said = "of another kind" if plan.relation in (OTHER, UNLIKE) else plan.relation
        return replace(plan, notes=(*plan.notes, f"not fitted, though the target is {said}: {error}"))


def _with_fits(plan: Plan, sources: Sequence[Reference], target: Reference, options: Options, replan: Replan) -> Plan:
    model = feeding(plan)
    if model is None:
        raise TliError("a fit is to one source, and several feed the target")
    given = sources[model]
    if given.made:
        raise TliError(f"tensors of {given.text} are worked out from others, and a fit runs what holds those")
    theirs, mine = recipe_for(given, options.source_arch), recipe_for(target)
    for reference in (given, target):
        held = sum(spec.size for spec in reference.architecture.tensors)
        if options.method != "fit" and held > VALUES:
            raise TliError(f"{reference.text} holds {held / 1e9:.1f} billion values; --method fit does it in memory")
    if theirs.is_code or mine.is_code:  # what was run to be described is run once more, to see that a fit can run it
        from tli_cli.fitting.running import run_source, run_target, shared_share

        own = run_target(target, options)
        theirs_run = run_source(given, options)
        share = shared_share(own, theirs_run, target.architecture, given.architecture, options.fit_minutes)
        numbers = own.numbers
    else:
        numbers = input_numbers(target.architecture) or IMAGE
        share = image_share(target.architecture, given.architecture, numbers, options.fit_minutes)
    return fitted_plan(plan, target.architecture, given.architecture, numbers, share, options, replan)


def fitted_plan(
    plan: Plan,
    target: Architecture,
    source: Architecture,
    numbers: int,
    share: float,
    options: Options,
    replan: Replan,
) -> Plan:
    """Return `plan` with fits between two models of which both can be run on samples of `numbers` numbers, images with
    a `share` of these' sides; `plan` itself where they share no points.

    Raises:
        TliError: what the minutes allow is too little, and was not asked for.
    """
    shown = round(share * share * numbers)
    work = work_of(target, source, shown, options.fit_minutes)
    closed = "narrower" in plan.relation and any(layer.tensor("running_var") for layer in target.layers)
    least = 0 if closed else FEW_LOOKS if of_any_size(target, source) else LOOKS
    if options.method != "fit" and not work.allows(least):
        needed = minutes_for(least, target, source, shown, options.fit_minutes)
        raise TliError(
            f"networks of this size take up to {needed:,.0f} minutes of one core to fit well, a GPU far fewer: "
            f"--fit-minutes {needed:.0f} allows them; --method fit does what {options.fit_minutes:.0f} allow"
        )
    model = feeding(plan) or 0
    base = replan() if plan.relation == UNLIKE else plan
    fitted = with_fits(base, target, source, model)
    if plan.relation == UNLIKE and fitted.coverage < LEAST_COVERAGE:
        return plan
    if not fitted.fits:
        said = "nothing to fit: no layer of the target ends where one of the source does"
        return replace(plan, notes=(*plan.notes, said))
    note = f"{len(fitted.fits)} {FITTED}; no data is used"
    note += f"; images of {share:.0%} of the sides are shown, which take less time" if share < 1 else ""
    note += f"; about {work.minutes:.0f} minutes of one core" if work.minutes >= 1.5 else ""
    relation = UNLIKE if plan.relation == UNLIKE else fitted.relation
    notes = (*base.notes, note)
    return replace(fitted, method="fit", fit_minutes=options.fit_minutes, relation=relation, notes=notes)
