"""A shallower target keeps the first blocks of each stage, each in its place."""

from __future__ import annotations

import pytest

from tests.core.support import plan_between


@pytest.mark.parametrize(("deep", "shallow"), [(3, 2), (5, 2)])
@pytest.mark.parametrize("name", ["vit", "mixer", "resnet", "convnext"])
def test_the_first_blocks_are_kept(name, deep, shallow):
    plan = plan_between(name, {"depth": deep}, {"depth": shallow})
    weights = [step for step in plan.steps if step.role == "weight" and step.action == "transfer"]
    assert len(weights) > 10
    assert [step.target for step in weights] == [step.pieces[0].source for step in weights]
