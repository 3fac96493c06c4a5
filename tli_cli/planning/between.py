"""The plan between architectures: match, then decide for every target tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tli_cli.architecture import Architecture
from tli_cli.errors import TliError
from tli_cli.matching import MATCHERS
from tli_cli.matching.values import Matching
from tli_cli.options import Labels, Options
from tli_cli.plan import Plan, Step
from tli_cli.planning.choice import Akin
from tli_cli.planning.claims.activations import changed_activations
from tli_cli.planning.doubted import doubted_layers
from tli_cli.planning.drafting import LOST_BIAS
from tli_cli.planning.given_classes import with_classes
from tli_cli.planning.heads import NO_LABELS, other_labels, parse_head
from tli_cli.planning.left_out import left_out
from tli_cli.planning.planner import make_plan
from tli_cli.planning.relation import OTHER, UNLIKE
from tli_cli.planning.request import Request, method_request
from tli_cli.planning.spaces.turning import UNCUT, UNTOLD
from tli_cli.scoring.outlook import MAY_HURT
from tli_cli.scoring.score import likeness, score_matching
from tli_cli.vocabularies.pairing import Tokens

UNPROVED = "its experts are read in another form than its class has them, so no graph shows that it computes the same"

ALIKE = ("same", "adapted")
"""The relations of models that a user takes for one network, some sizes apart."""


@dataclass(frozen=True)
class Told:
    """What is told of a target and its sources besides their architectures.

    Attributes:
        akin: which sources may be mixed.
        tokens: for each source which of its rows stand for the target's tokens.
        labels: what the classes of the target and of the sources are called.
        unproved: which sources have left their graph behind.
        idle: which sources feed nothing.
    """

    akin: Akin = lambda first, second: True
    tokens: Sequence[Tokens] = ()
    labels: tuple[Labels, Labels] = (NO_LABELS, NO_LABELS)
    unproved: Collection[int] = ()
    idle: Collection[int] = ()


def plan_injection(
    target: Architecture, sources: Sequence[Architecture], options: Options, keep_values: str, told: Told = Told()
) -> Plan:
    """Return the plan for `target` from `sources`, with the best source's score; reads no values.

    `keep_values` says how what nothing feeds starts: `constructor`, or `target` for the target's own values.

    Raises:
        TliError: the matcher or the method is unknown, the head's map cannot be read, or nothing is called what is to
            be left out.
    """
    if options.skip and options.method == "fit":
        raise TliError("--skip leaves layers as they start, and method fit changes all of them: use one of the two")
    if len(sources) == 1:
        target, *sources = with_classes(target, sources[0])
    matcher = MATCHERS.get(options.matcher)
    matchings = [matcher(source, target) for source in sources]
    matchings = [_emptied(matching) if model in told.idle else matching for model, matching in enumerate(matchings)]
    request = _request(target, options, keep_values, told)
    doubted = [doubted_layers(source, target, matching) for source, matching in zip(sources, matchings, strict=True)]
    score = max(map(score_matching, matchings, doubted))
    if options.method == "auto" and options.matcher == "dp" and not options.pair:
        alike = max(map(likeness, matchings, doubted))
        if alike < MAY_HURT:
            return _untouched(target, sources, matchings, request, score, alike)
    plan = make_plan(target, sources, matchings, request, told.akin)
    fed = {s.target for s in plan.steps if s.exact and any(piece.model in told.unproved for piece in s.pieces)}
    plan = plan.doubting(fed, UNPROVED) if fed else plan
    alone = plan.relation != OTHER and len(sources) == 1
    said = (*_left_heads(target, sources[0], matchings[0]), *changed_activations(sources[0], target)) if alone else ()
    said += () if request.head_rows else other_labels(*told.labels)
    said += _copied_otherwise(plan.relation, plan.steps) if alone and not said else ()
    return replace(plan, score=round(score, 6), notes=(*plan.notes, *said))


def _request(target: Architecture, options: Options, keep_values: str, told: Told) -> Request:
    """Return what `options` ask of a plan for `target`."""
    return method_request(
        Request(
            matcher=options.matcher,
            method=options.method,
            head=options.head.partition(":")[0],
            head_rows=parse_head(options.head, *told.labels),
            norms=options.batchnorm,
            seed=options.seed,
            top_k=options.top_k,
            keep_values=keep_values,
            tokens=told.tokens,
            skipped=left_out(target, options.skip),
            pairs=options.pair,
        )
    )


def _left_heads(target: Architecture, source: Architecture, matching: Matching) -> Iterator[str]:
    """Yield what is said of a head of the source's own where the target's is its table of tokens."""
    for table, head in matching.heads:
        yield (
            f"the target's head is its table of tokens, {target.layers[table.place].path}, which starts as the source's"
            f" table; the source's own head, {source.layers[head.place].path}, is left out: the function changes"
        )


def _copied_otherwise(relation: str, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what the user should know of copies that keep no function, where all else looks as if one were kept; of
    channels that turn in pairs it is said elsewhere."""
    told = (UNCUT, UNTOLD, LOST_BIAS)
    found = [s for s in steps if s.resizer == "copy" and not s.exact and s.reason and s.reason not in told]
    if relation not in ALIKE or not found:
        return ()
    count = (
        "1 tensor is copied as it is and does"
        if len(found) == 1
        else f"{len(found)} tensors are copied as they are and do"
    )
    return (f"{count} not certainly compute what the source does, such as {found[0].target}: {found[0].reason}",)


def _emptied(matching: Matching) -> Matching:
    """Return `matching` of a source that feeds nothing."""
    return replace(matching, pairs=(), heads=(), added_blocks=frozenset())


def _untouched(
    target: Architecture,
    sources: Sequence[Architecture],
    matchings: Sequence[Matching],
    request: Request,
    score: float,
    alike: float,
) -> Plan:
    """Return the plan that moves nothing: no source is similar enough to be worth more than a plain start."""
    said = (
        f"nothing similar enough to move is there ({alike:.2f}, under {MAY_HURT}): the target starts as it would "
        "without a source; --method combo moves what can be moved"
    )
    plan = make_plan(target, sources, [_emptied(matching) for matching in matchings], request)
    return replace(plan, score=round(score, 6), relation=UNLIKE, notes=(said,))
