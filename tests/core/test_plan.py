"""The plan as a value: it round-trips, and what is no plan is one message."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.support import build, carried_out, plan_between
from tli_cli.errors import PlanError
from tli_cli.pieces import AxisMap, Layout, Piece
from tli_cli.plan import EDITED, Plan, Side, Step

text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
count = st.integers(0, 2**40)
number = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.lists(count, max_size=3).map(tuple)
expression = st.recursive(
    count,
    lambda child: st.tuples(st.sampled_from("+*"), st.lists(child, max_size=3)).map(lambda pair: (pair[0], *pair[1])),
    max_leaves=5,
)
members = st.lists(st.tuples(count, text, count)).map(tuple)
maps = st.builds(AxisMap, text, count, count, st.booleans(), st.none() | sizes, members, text)
ranges = st.none() | st.tuples(count, count, count)
pieces = st.builds(
    Piece,
    source=text,
    model=count,
    weight=number,
    target_range=ranges,
    source_range=ranges,
    layout=st.none() | st.builds(Layout, sizes, sizes, sizes),
    axes=st.lists(expression, max_size=3).map(tuple),
    contracted=sizes,
    gain=number,
    source_shape=sizes,
)
steps = st.builds(
    Step,
    target=text,
    shape=sizes,
    action=st.sampled_from(["transfer", "keep"]),
    layer=text,
    role=text,
    pieces=st.lists(pieces, max_size=2).map(tuple),
    resizer=text,
    initial=text,
    similarity=number,
    exact=st.booleans(),
    reason=text,
    block=text,
)
sides = st.builds(Side, text, text, text)
plans = st.builds(
    Plan,
    sources=st.lists(sides, max_size=2).map(tuple),
    target=sides,
    steps=st.lists(steps, max_size=3).map(tuple),
    maps=st.lists(maps, max_size=2).map(tuple),
    matcher=text,
    method=text,
    relation=text,
    seed=count,
    score=number,
    unused=st.lists(text).map(tuple),
    notes=st.lists(text).map(tuple),
)
anything = st.recursive(
    st.none() | st.booleans() | count | number | text,
    lambda child: st.lists(child, max_size=3) | st.dictionaries(text, child, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_any_plan_round_trips(plan):
    text = plan.to_json()
    assert Plan.from_json(text) == plan and Plan.from_json(text).to_json() == text
    assert next(iter(json.loads(text))) == "version"


@settings(max_examples=60, deadline=None)
@given(anything)
def test_what_is_no_plan_is_a_plan_error(value):
    with pytest.raises(PlanError):
        Plan.from_json(json.dumps(value))


def test_an_edited_plan_claims_nothing_and_one_laid_out_anew_what_it_did():
    plan = plan_between("vit", {}, {"width": 24})
    raw = json.loads(plan.to_json())
    assert Plan.from_json(json.dumps(raw, indent=3)) == plan
    assert Plan.from_json(json.dumps({**raw, "notes": ["mine"]})) == replace(plan, notes=("mine",))
    for changed in ({**raw, "seed": 7}, {**raw, "seal": "0" * 16}, {k: v for k, v in raw.items() if k != "seal"}):
        read = Plan.from_json(json.dumps(changed))
        assert read.notes.count(EDITED) == 1 and not any(step.exact for step in read.steps)
        assert Plan.from_json(read.to_json()) == read


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_plan_with_one_value_replaced_is_a_plan_or_a_plan_error(data):
    raw = json.loads(plan_between("vit", {}, {"width": 24}).to_json())
    holder = data.draw(st.sampled_from([raw, raw["steps"][0], raw["target"], raw["maps"][0]]))
    key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = data.draw(anything)
    try:
        Plan.from_json(json.dumps(raw))
    except PlanError as error:
        assert str(error).startswith(("plan", "not a plan"))


@pytest.mark.parametrize("text", ["", "{", "null", "3", "[]", "[" * 100_000, '{"version": true}', '{"version": "1"}'])
def test_text_that_is_no_plan_says_what_was_found(text):
    with pytest.raises(PlanError, match="plan"):
        Plan.from_json(text)


def test_unknown_fields_are_named():
    raw = json.loads(plan_between("vit", {}, {}).to_json())
    raw["steps"][0]["colour"] = "red"
    with pytest.raises(PlanError, match="colour"):
        Plan.from_json(json.dumps(raw))


def edited(index: list[int]) -> Plan:
    """Return a plan whose stem takes its channels by `index`, as a person would write it into the file."""
    raw = json.loads(plan_between("resnet", {}, {"width": 12}).to_json())
    step = next(s for s in raw["steps"] if s["target"] == "conv1.weight")
    raw["maps"][step["pieces"][0]["axes"][0]]["index"] = index
    return Plan.from_json(json.dumps(raw))


def test_an_index_in_a_map_overrides_its_rule():
    index = [7, 6, 5, 4, 3, 2, 1, 0, 0, 0, -1, 7]
    source, target = build("resnet", 1).state_dict(), build("resnet", 2, width=12).state_dict()
    made = carried_out(edited(index), source, target)["conv1.weight"]
    for row, taken in enumerate(index):
        expected = source["conv1.weight"][taken] if taken >= 0 else source["conv1.weight"][0] * 0
        assert made[row].equal(expected)


@pytest.mark.parametrize("index", [[0] * 11, [8] + [0] * 11, [-2] + [0] * 11, []])
def test_an_index_that_does_not_fit_is_a_plan_error(index):
    source, target = build("resnet", 1).state_dict(), build("resnet", 2, width=12).state_dict()
    with pytest.raises(PlanError, match="12 source indices"):
        carried_out(edited(index), source, target)
