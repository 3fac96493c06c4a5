"""The score of two architectures: 1 is held against the plan.

Where every layer of a target has a partner like itself in its place, what no layer shows may still differ: numbers that
are written in code, joins, masks, what is left out. A plan says which of its steps keep the function, and a layer of
which it does not say so keeps `OTHER_SETTING` of its worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tli_cli.architecture import STATISTICS, Architecture, Layer
from tli_cli.matching import Matcher
from tli_cli.matching.values import Matching, Pair
from tli_cli.scoring.score import Score, coverage_of, score_matching, worst_blocks

if TYPE_CHECKING:
    from tli_cli.plan import Step

COUNTED = ("weight", "bias", *STATISTICS[:2])
"""The roles of tensors that change what a layer computes."""


def score_architectures(source: Architecture, target: Architecture, matcher: Matcher) -> Score:
    """Return the score of both directions between `source` and `target`."""
    there, back = matcher(source, target), matcher(target, source)
    doubted = doubted_layers(source, target, there)
    return Score(
        source.origin,
        target.origin,
        score_matching(there, doubted),
        score_matching(back, doubted_layers(target, source, back)),
        coverage_of(there, target),
        coverage_of(back, source),
        worst_blocks(there, doubted=doubted),
    )


def doubted_layers(source: Architecture, target: Architecture, matching: Matching) -> frozenset[int]:
    """Return the layers of `target`, by place, that do not compute what their partners do, though these are like them;
    none where the score is under 1 already."""
    if score_matching(matching) < 1 or _described(source) == _described(target):
        return frozenset()
    if not (source.graph and target.graph):
        return frozenset(pair.target.place for pair in matching.pairs if _have_other_roles(source, target, pair))
    from tli_cli.planning.planner import make_plan
    from tli_cli.planning.request import Request

    plan = make_plan(target, [source], [matching], Request(matcher="path"))
    inexact = {step.target for step in plan.steps if not _holds(step)}
    return frozenset(place for place, layer in enumerate(target.layers) if not inexact.isdisjoint(_counted(layer)))


def _holds(step: Step) -> bool:
    """Tell whether a tensor takes its partner's values, which nothing has to make up for, and computes the same."""
    return step.exact and bool(step.pieces) and all(piece.gain == 1 for piece in step.pieces)


def _described(architecture: Architecture) -> object:
    """Return all that is known of an architecture but its names."""
    place = {spec.name: i for i, spec in enumerate(architecture.tensors)}
    layers = [
        (
            layer.kind,
            layer.attributes,
            layer.numbers,
            layer.constants,
            [(role, place[name]) for role, name in layer.tensors],
        )
        for layer in architecture.layers
    ]
    return architecture.graph, [spec.shape for spec in architecture.tensors], layers, architecture.spaces


def _have_other_roles(source: Architecture, target: Architecture, pair: Pair) -> bool:
    """Tell whether one of two layers alone has a bias, or statistics; parts of fused ones may have none."""
    if max(pair.source.part, pair.target.part) >= 0:
        return False
    return _roles(source.layers[pair.source.place]) != _roles(target.layers[pair.target.place])


def _roles(layer: Layer) -> set[str]:
    return {role.partition(".")[0] for role, _ in layer.tensors}.intersection(COUNTED[1:])


def _counted(layer: Layer) -> Iterator[str]:
    return (name for role, name in layer.tensors if role.partition(".")[0] in COUNTED)
