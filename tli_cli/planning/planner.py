"""Make a plan: one step for every tensor of the target, and which tensors of the sources feed nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.matching.values import Matching
from tli_cli.plan import Plan, Side, Step
from tli_cli.planning.asked import ASKED, as_asked, fed_as_asked
from tli_cli.planning.choice import Akin, choose_models, main_model
from tli_cli.planning.drafting import Drafter
from tli_cli.planning.drafts import Drafts
from tli_cli.planning.left_out import partners, without
from tli_cli.planning.notes import notes_of
from tli_cli.planning.quantised import whole_or_kept
from tli_cli.planning.relation import relation_of
from tli_cli.planning.request import Request
from tli_cli.planning.starts.ajar import left_ajar
from tli_cli.planning.starts.filled_branches import chains_fill_branches
from tli_cli.planning.starts.foreign import without_false_copies, without_foreign
from tli_cli.planning.starts.norms import norms_follow
from tli_cli.planning.starts.stacked import stacks_in_order


def make_plan(
    target: Architecture,
    sources: Sequence[Architecture],
    matchings: Sequence[Matching],
    request: Request,
    akin: Akin = lambda first, second: True,
) -> Plan:
    """Return the plan for `target` from `sources`, one matching for each; every target tensor stands in exactly one
    step. `akin` tells which sources may be mixed."""
    if request.matcher == "dp":
        matchings = [_settled(target, s, m) for s, m in zip(sources, matchings, strict=True)]
    matchings = as_asked(matchings, request.pairs)
    whole, matchings = matchings, [without(matching, target, request.skipped) for matching in matchings]
    drafts = Drafts(target, sources, request)
    chosen = choose_models(matchings, request.top_k, akin)
    for model, matching in enumerate(matchings):
        Drafter(drafts, model, matching).draft(chosen)
    steps = left_ajar(whole_or_kept(drafts.steps(), target, sources, request.keep_values), target)
    main = main_model(whole)
    spared = [partners(m, source, target, request.skipped) for source, m in zip(sources, whole, strict=True)]
    if len({piece.model for step in steps for piece in step.pieces}) > 1:  # no function is that of any one source
        steps = [replace(step, exact=False) for step in steps]
    asked = fed_as_asked(matchings, target)
    plan = Plan(
        sources=tuple(map(_side, sources)),
        target=_side(target),
        steps=tuple(steps),
        maps=tuple(drafts.book.maps),
        matcher=request.matcher,
        method=request.method,
        relation=relation_of(steps, whole[main], target, sources[main]),
        seed=request.seed,
        unused=unused_by(steps, sources, spared),
        notes=notes_of(drafts, steps, matchings),
    )
    return plan.doubting(asked, ASKED) if asked else plan


def _side(architecture: Architecture) -> Side:
    return Side(architecture.origin, architecture.fingerprint, architecture.order_from)


def _settled(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` as what is known of both sides settles it, by one rule after the other."""
    matching = without_false_copies(matching)
    matching = without_foreign(target, source, matching)
    matching = chains_fill_branches(target, source, matching)
    matching = stacks_in_order(target, source, matching)
    return norms_follow(target, source, matching)


def unused_by(
    steps: Sequence[Step], sources: Sequence[Architecture], spared: Sequence[Collection[str]] = ()
) -> tuple[str, ...]:
    """Return the tensors of `sources` that no step reads, but those `spared`; numbered where sources are several."""
    used = {
        (piece.model, own)
        for step in steps
        for piece in step.pieces
        for name in piece.names
        for own in (name, sources[piece.model].by_name[name].tied_to)
    }
    return tuple(
        spec.name if len(sources) == 1 else f"{model}:{spec.name}"
        for model, source in enumerate(sources)
        for spec in source.tensors
        if (model, spec.name) not in used and spec.tied_to is None and not (spared and spec.name in spared[model])
    )


def recounted(plan: Plan, sources: Sequence[Architecture]) -> Plan:
    """Return a plan that was changed by hand with what it leaves unused now."""
    read = [step for step in plan.steps if step.action == "transfer"]
    known = {
        name if len(sources) == 1 else f"{i}:{name}" for i, source in enumerate(sources) for name in source.by_name
    }
    aside = tuple(name for name in plan.unused if name not in known)
    return replace(plan, unused=(*unused_by(read, sources), *aside))
