"""Laws that hold for every matcher, every method and every family of networks."""

from __future__ import annotations

import pytest

from tests.core.support import SMALL, build, carried_out, described, plan_between, same_bytes
from tests.models import NETS
from tli_cli.describe.spaces import leaves
from tli_cli.matching import MATCHERS
from tli_cli.options import Options
from tli_cli.plan import Plan
from tli_cli.planning.between import plan_injection
from tli_cli.planning.doubted import score_architectures
from tli_cli.planning.request import methods

MAPS_OF_AUTO = {"fit", "maps"}
METHODS = [name for name in methods() if name not in MAPS_OF_AUTO]
OTHER = {
    "resnet": {"width": 12, "depth": 3},
    "mobilenet": {"width": 12},
    "dense": {"growth": 6},
    "group_norm": {"width": 16},
    "vit": {"width": 24, "depth": 3},
    "gated": {"ratio": 3},
    "decoder": {"width": 24, "heads": 6, "kv_heads": 3},
}

every_net = pytest.mark.parametrize("net", NETS)
every_small = pytest.mark.parametrize("net", SMALL)
every_matcher = pytest.mark.parametrize("matcher", list(MATCHERS))
every_method = pytest.mark.parametrize("method", METHODS)


@every_matcher
@every_net
def test_a_network_matches_itself_unit_by_unit(net, matcher):
    matching = MATCHERS.get(matcher)(described(net), described(net))
    assert [pair.source.key for pair in matching.pairs] == [unit.key for unit in matching.targets]
    assert all(pair.similarity == 1 and not pair.repeat for pair in matching.pairs)
    assert not matching.added_blocks
    assert score_architectures(described(net), described(net), MATCHERS.get(matcher)).mean == 1


@every_method
@every_small
def test_injecting_a_network_into_itself_gives_the_same_bytes(net, method):
    plan = plan_between(net, {}, {}, method=method)
    source = build(net, 1).state_dict()
    assert same_bytes(carried_out(plan, source, build(net, 2).state_dict()), source)
    assert plan.coverage == 1 and plan.score == 1 and plan.relation == "same" and not plan.unused


@every_matcher
@every_net
def test_every_family_is_copied_into_itself(net, matcher):
    plan = plan_between(net, {}, {}, matcher=matcher)
    source = build(net, 1).state_dict()
    assert same_bytes(carried_out(plan, source, build(net, 2).state_dict()), source)


@every_method
@every_small
def test_every_tensor_is_in_exactly_one_step_and_equal_shapes_are_untouched(net, method):
    plan = plan_between(net, {}, OTHER[net], method=method)
    source, target = build(net, 1).state_dict(), build(net, 2, **OTHER[net]).state_dict()
    assert [step.target for step in plan.steps] == list(target)
    assert all(step.shape == tuple(target[step.target].shape) for step in plan.steps)
    made = carried_out(plan, source, target)
    for step in plan.steps:
        if step.resizer == "copy" and len(step.pieces) == 1:
            piece = step.pieces[0]
            assert same_bytes({"": made[step.target]}, {"": source[piece.source].reshape(step.shape)})
        if step.action == "keep" and step.initial == "target":
            assert same_bytes({"": made[step.target]}, {"": target[step.target]})
    fed = {piece.source for step in plan.steps for piece in step.pieces}
    tied = {spec.name for spec in described(net).tensors if spec.tied_to}
    assert fed.isdisjoint(plan.unused) and fed | set(plan.unused) | tied == set(source)


@every_method
@every_small
def test_a_plan_is_the_same_value_and_gives_the_same_bytes_after_a_round_trip(net, method):
    plan = plan_between(net, {}, OTHER[net], method=method)
    again = Plan.from_json(plan.to_json())
    assert again == plan and again.to_json() == plan.to_json()
    assert plan_injection(described(net, **OTHER[net]), [described(net)], Options(method=method), "target") == plan
    source, target = build(net, 1).state_dict(), build(net, 2, **OTHER[net]).state_dict()
    assert same_bytes(carried_out(again, source, target), carried_out(plan, source, target))


@every_method
@every_small
def test_results_are_finite_and_of_the_right_shape(net, method):
    wide = {key: value for key, value in OTHER[net].items() if key != "depth"}
    for source, target in (({}, wide), (wide, {})):
        state = build(net, 2, **target).state_dict()
        plan = plan_between(net, source, target, method=method)
        made = carried_out(plan, build(net, 1, **source).state_dict(), state)
        assert all(made[name].shape == state[name].shape and made[name].isfinite().all() for name in state)


@every_method
@pytest.mark.parametrize("net", ["resnet", "vit"])
def test_the_seed_decides_what_is_drawn(net, method):
    source, target = build(net, 1).state_dict(), build(net, 2, **OTHER[net]).state_dict()
    one, same, other = (
        carried_out(plan_between(net, {}, OTHER[net], method=method, seed=seed), source, target) for seed in (0, 0, 1)
    )
    assert same_bytes(one, same)
    if method in ("auto", "net2net"):
        assert not same_bytes(one, other)


@pytest.mark.parametrize("net", OTHER)
def test_statistics_move_with_their_channels(net):
    plan = plan_between(net, {}, OTHER[net])
    steps = plan.by_target
    for step in plan.steps:
        if step.role == "running_mean" and step.action == "transfer":
            variance = steps[step.target.removesuffix("mean") + "var"]
            assert step.pieces[0].axes == variance.pieces[0].axes


@pytest.mark.parametrize("net", sorted(OTHER.keys() - {"group_norm"}))
def test_one_axis_map_serves_all_axes_that_carry_the_same_channels(net):
    """Whatever consumes channels is mapped as their producer is: the maps differ only in rule words, not in sizes."""
    target = described(net, **OTHER[net])
    plan = plan_injection(target, [described(net)], Options(), "target")
    seen: dict[object, set[object]] = {}
    for step in plan.steps:
        if step.resizer == "maps" and len(step.pieces) == 1 and step.pieces[0].layout is None:
            for axis, expression in zip(target.axes[step.target], step.pieces[0].axes, strict=True):
                for leaf, index in zip(leaves(axis.tree), leaves(expression), strict=False):
                    used = plan.maps[index]
                    seen.setdefault(leaf, set()).add((used.rule.split()[0], used.rows, used.columns))
    assert seen and all(len(rules) == 1 for rules in seen.values())


def test_the_registries_are_not_empty():
    assert (
        "dp" in MATCHERS and METHODS[0] == "auto" and {"combo", "crop", "resize", "select", "net2net"} <= set(METHODS)
    )
