"""Add fits to a plan, where both models can be run and a fit is asked for or promises most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.errors import TliError
from tli_cli.options import Options
from tli_cli.plan import Plan
from tli_cli.planning.relation import OTHER
from tli_cli.references.reference import LIBRARIES, LIVE, Reference

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tli_cli.architecture import Architecture

RELATIONS = (OTHER, "narrower")
"""The relations for which `auto` fits. A target that is only shallower keeps its tensors byte for byte, and trains as
fast as a fitted one."""


def gains(plan: Plan) -> bool:
    """Tell whether a fit promises more than the maps of `plan` alone."""
    return any(word in RELATIONS for word in plan.relation.split(" and "))


def add_fits(plan: Plan, sources: Sequence[Reference], target: Reference, options: Options) -> Plan:
    """Return `plan` with fits: where the method is `fit`, or where it is `auto`, the target cannot keep the
    function, and both models are code.

    Raises:
        TliError: a fit is asked for, and one of the models cannot be run here.
    """
    asked = options.method == "fit"
    if not asked and not (options.method == "auto" and gains(plan) and len(sources) == 1):
        return plan
    if not asked and not (_is_code(options.source_arch or sources[0].text) and _is_code(target.text)):
        note = f"{_said(plan)}: where both models can be run, --method fit gains more"
        return replace(plan, notes=(*plan.notes, note))
    try:
        return _with_fits(plan, sources, target, options)
    except TliError as error:
        if asked:
            raise
        return replace(plan, notes=(*plan.notes, f"not fitted: {error}"))


def _said(plan: Plan) -> str:
    return "the target is of another kind" if plan.relation == OTHER else f"the target is {plan.relation}"


def _is_code(text: str) -> bool:
    return bool(LIVE.match(text)) and text.partition(":")[0] not in LIBRARIES


def _with_fits(plan: Plan, sources: Sequence[Reference], target: Reference, options: Options) -> Plan:
    from tli_cli.fitting.running import run_source, run_target

    if len(sources) != 1:
        raise TliError(f"--method fit takes one source, {len(sources)} are given")
    source, own = run_source(sources[0], options), run_target(target, options)
    if [t.shape[1:] for t in source.sample] != [t.shape[1:] for t in own.sample]:
        raise TliError(f"--method fit: {sources[0].text} and {target.text} take inputs of different shapes")
    return fitted_plan(plan, target.architecture, sources[0].architecture, own.model, source.model, own.sample)


def fitted_plan(
    plan: Plan,
    target: Architecture,
    source: Architecture,
    target_model: nn.Module,
    source_model: nn.Module,
    sample: Sequence[torch.Tensor],
) -> Plan:
    """Return `plan` with fits between two live models that are run on `sample`; `plan` itself where they share no
    points."""
    from tli_cli.fitting.carry_out import place_counts
    from tli_cli.fitting.points import with_fits

    try:
        sizes = (place_counts(target_model, sample), place_counts(source_model, sample))
    # Both models are the user's own code, which may fail in any way.
    except Exception as error:
        raise TliError(f"a model cannot be run on {[list(t.shape) for t in sample]}: {error}") from error
    fitted = with_fits(plan, target, source, sizes)
    if not fitted.fits:
        return replace(
            plan, notes=(*plan.notes, "nothing to fit: no layer of the target ends where one of the source does")
        )
    note = (
        f"{len(fitted.fits)} places of the target are fitted to the source's values on made-up inputs; no data is used"
    )
    return replace(fitted, method="fit", notes=(*plan.notes, note))
