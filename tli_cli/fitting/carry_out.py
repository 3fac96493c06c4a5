"""Carry out the fits of a plan on live models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import interpolate

from tli_cli.axis_maps.expressions import apply_expression
from tli_cli.axis_maps.kept_tokens import kept_tokens
from tli_cli.axis_maps.take import MapValues
from tli_cli.errors import TliError
from tli_cli.fitting.fit import Fitter
from tli_cli.fitting.head_input import size_for_head
from tli_cli.fitting.observe import Observed, observe, observe_in_parts
from tli_cli.fitting.polish import difference, goals, polish
from tli_cli.fitting.samples import vocabulary_of
from tli_cli.fitting.work import Work
from tli_cli.fitting.worth import Reader, Worth
from tli_cli.plan import Fit, Plan
from tli_cli.report import Progress
from tli_cli.seeding import generator_for


def seen_by(sample: Sequence[torch.Tensor], made: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Return `made` as a model sees it that takes inputs like `sample`: images at that size."""
    return tuple(
        tensor
        if tensor.shape[1:] == like.shape[1:]
        else interpolate(tensor, like.shape[2:], mode="bilinear", antialias=True, align_corners=False)
        for like, tensor in zip(sample, made, strict=True)
    )


def known_to_both(
    plan: Plan, target: nn.Module, source: nn.Module, arguments: Sequence[Sequence[torch.Tensor]]
) -> tuple[tuple[torch.Tensor, ...], ...]:
    """Return `arguments`, of the target and of the source, with tokens that both have in place of the source's.

    Raises:
        TliError: they have none in common.
    """
    tokens, sizes = kept_tokens(plan), [vocabulary_of(model) for model in (target, source)]
    if tokens is not None and not len(tokens.mine):
        raise TliError("the two vocabularies have no tokens in common")
    order = None if tokens is None else tokens.theirs.argsort()
    rows = (None, None) if tokens is None else (tokens.mine[order], tokens.theirs[order])

    def named(value: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        if value.is_floating_point():
            return value
        return value % min(sizes) if known is None else known[value * len(known) // sizes[1]]

    return tuple(tuple(named(value, known) for value in given) for given, known in zip(arguments, rows, strict=True))


def fit_live(
    plan: Plan,
    target: nn.Module,
    source: nn.Module,
    arguments: Sequence[Sequence[torch.Tensor]],
    values: Sequence[MapValues],
    work: Work,
    progress: Progress | None = None,
    plain: nn.Module | None = None,
) -> Worth | None:
    """Carry out the fits of `plan` on `target`, in place; return what they are worth on samples that they were not made
    on, or None if there were none such.

    `arguments` are made-up inputs as the target sees them, then as the source does.
    `target` holds what the plan's steps gave it, `plain` what it would start from without a source, `values` are the
    values of the plan's maps; the models are left in evaluation mode.
    """
    mine, theirs = arguments
    seen = observe_in_parts(source, theirs, list(dict.fromkeys(fit.source for fit in plan.fits)), work.solved)
    observed = {fit: seen[fit.source] for fit in plan.fits if fit.source in seen}

    def channels(fit: Fit, value: torch.Tensor) -> torch.Tensor:
        """Return `value` `(samples, source channels, ...)` with the target's channels."""
        return apply_expression(value, 1, fit.channels, plan.maps, values, contracted=False)

    reader = Reader(plan.fits, mine, observed, work)
    before = [reader.features(model) for model in (target, plain) if model is not None and reader.can_read]
    fitted = [step for step in plan.steps if step.resizer == "fit"]
    free, fed = {step.target for step in fitted}, {step.target for step in fitted if step.pieces}
    few = tuple(value[: work.solved] for value in mine)
    begun = {fit: seen.first(work.solved) for fit, seen in observed.items()}
    Fitter(target, plan.fits, begun, channels, free, fed, generator_for(plan.seed, "fitted rows")).run(few)
    found = goals(target, few, plan.fits, _reached(target, few, plan.fits), observed, channels)
    polish(target, mine, found, free, work, generator_for(plan.seed, "gradient steps"), progress)
    worth = None
    if found and work.unseen:
        apart = difference(target, mine, found[-1], torch.arange(work.samples - work.unseen, work.samples))
        worth = Worth(apart, reader.source, reader.features(target), before)
    size_for_head(target, plan, few)
    return worth


def _reached(model: nn.Module, arguments: Sequence[torch.Tensor], fits: Sequence[Fit]) -> dict[Fit, Observed]:
    """Return what `model` computes at the points of `fits`."""
    reached = observe(model, arguments, [fit.target for fit in fits])
    return {fit: reached[fit.target] for fit in fits if fit.target in reached}
