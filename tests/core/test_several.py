"""Several sources: one feeds what it can, others only fill what it lacks; mixed are those of one ancestor alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.core.support import build, described, plan_between, same_bytes
from tests.models import ResNet, example_for
from tli_cli import apply_tli
from tli_cli.errors import TliError
from tli_cli.matching import MATCHERS
from tli_cli.matching.values import Pair
from tli_cli.options import Options
from tli_cli.planning.choice import choose_models


def tuned(model: nn.Module, share: float, seed: int) -> nn.Module:
    """Return `model` with so much noise, as a share of each tensor's deviation."""
    copy, generator = deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in copy.parameters():
            value += share * float(value.std(correction=0)) * torch.randn(value.shape, generator=generator)
    return copy


def injected(target: nn.Module, *sources: nn.Module, **options: int):
    model = deepcopy(target)
    plan = apply_tli(model, list(sources), example=example_for("resnet"), options=Options(method="net2net", **options))
    return model, plan


@pytest.mark.parametrize("first", [0, 1])
def test_one_source_feeds_all_that_it_can_whatever_the_order(first):
    shallow, deep = build("resnet", 1, depth=1), build("resnet", 2, depth=3)
    target, sources = build("resnet", 3, width=16, depth=3), [shallow, deep]
    model, plan = injected(target, *(sources[first], sources[1 - first]))
    alone, _ = injected(target, deep)
    assert same_bytes(model.state_dict(), alone.state_dict())
    assert {piece.model for step in plan.steps for piece in step.pieces} == {1 - first}


def test_another_kind_of_source_takes_no_block_that_is_fed():
    target = build("resnet", 3)
    model, _ = injected(target, build("mobilenet", 1), build("resnet", 2))
    alone, _ = injected(target, build("resnet", 2))
    assert same_bytes(model.state_dict(), alone.state_dict())


def test_sources_of_one_ancestor_are_mixed():
    ancestor, target = build("resnet", 1), build("resnet", 3)
    first, second = tuned(ancestor, 0.2, 1), tuned(ancestor, 0.2, 2)
    model, plan = injected(target, first, second, top_k=2)
    sides = [dict(net.named_parameters()) for net in (first, second)]
    for name, value in model.named_parameters():
        torch.testing.assert_close(value, (sides[0][name] + sides[1][name]) / 2)
    assert not any(step.exact for step in plan.steps) and not any("mixed" in note for note in plan.notes)


@pytest.mark.parametrize("kind", ["alike", "other place", "shape", "less alike", "repeated", "lacking"])
def test_only_what_all_feed_from_one_place_is_mixed(kind):
    own = described("resnet")
    matching = MATCHERS.get("dp")(own, own)
    changed = matching.pairs[1]
    change: dict[str, Callable[[Pair], Pair]] = {
        "alike": lambda pair: pair,
        "other place": lambda pair: replace(pair, source=replace(pair.source, place=99)),
        "shape": lambda pair: replace(pair, source=replace(pair.source, shape=(1,))),
        "less alike": lambda pair: replace(pair, similarity=0.9),
        "repeated": lambda pair: replace(pair, repeat=True),
    }
    others = [change.get(kind, change["alike"])(p) if p is changed else p for p in matching.pairs]
    other = replace(matching, pairs=tuple(p for p in others if p.target != changed.target or kind != "lacking"))
    for order in ([matching, other], [other, matching]):
        chosen = choose_models(order, 2, lambda first, second: True)
        mixed = {key for key, models in chosen.items() if len(models) == 2}
        assert {unit.key for unit in matching.targets} - mixed == ({changed.target.key} if kind != "alike" else set())
        assert all(sum(models.values()) == pytest.approx(1) for models in chosen.values())
    apart = choose_models([matching, other], 2, lambda first, second: False)
    assert {len(models) for models in apart.values()} == {1}
    first, second, *rest = matching.pairs
    repeating = replace(matching, pairs=(first, replace(second, repeat=True), *rest))
    chosen = choose_models([repeating, replace(matching, pairs=(first, second))], 2, lambda *_: True)
    assert [key for key, models in chosen.items() if len(models) == 2] == [first.target.key]


def test_sources_that_were_trained_apart_are_not_mixed():
    target, first, second = (build("resnet", seed) for seed in (3, 1, 2))
    model, plan = injected(target, first, second, top_k=2)
    assert same_bytes(model.state_dict(), first.state_dict())
    assert any(note.startswith("nothing is mixed") for note in plan.notes)


def test_nothing_can_be_mixed_of_no_sources():
    with pytest.raises(TliError, match="top_k: expected a whole number from 1 on, found 0"):
        plan_between("resnet", {}, {}, top_k=0)


@pytest.mark.parametrize("shape", ["3,8,8", ((3, 8, 8), "10"), [[3, 8, 8]], (3, 0), {"x": "3"}, 3])
def test_a_shape_that_is_none_is_not_passed_over(shape):
    with pytest.raises(TliError, match="input_shape: expected a shape such as"):
        Options(input_shape=shape)


def test_what_one_of_several_sources_feeds_alone_is_fitted_to_it():
    target, sources = build("resnet", 3, width=6), [build("resnet", 1), build("mobilenet", 2)]
    alone = deepcopy(target)
    apply_tli(alone, sources[0], example=example_for("resnet"))
    for place, given in enumerate((sources, sources[::-1])):
        model = deepcopy(target)
        plan = apply_tli(model, given, example=example_for("resnet"))
        assert plan.fits and {fit.model for fit in plan.fits} == {place}
        assert same_bytes(model.state_dict(), alone.state_dict())


@pytest.mark.parametrize("first", [0, 1])
def test_a_source_that_was_never_trained_stands_in_no_other_ones_way(first):
    target, alike, trained = ResNet(width=8), ResNet(width=8), build("resnet", 1, width=6)
    sources = [alike, trained] if first == 0 else [trained, alike]
    model = deepcopy(target)
    options = Options(matcher="dp", head="fresh", method="auto")
    plan = apply_tli(model, sources, example=example_for("resnet"), options=options)
    assert {piece.model for step in plan.steps for piece in step.pieces} == {1 - first}
    assert any("never trained" in note and "feeds nothing" in note for note in plan.notes)
    plan = apply_tli(model, [alike, deepcopy(alike)], example=example_for("resnet"), options=options)
    assert plan.coverage > 0.5 and not any("feeds nothing" in note for note in plan.notes)
