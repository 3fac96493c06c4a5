"""Where nothing similar is there, `auto` fits if both networks can be run; else it leaves the target as it would start
without a source, and says so."""

from __future__ import annotations

import pytest
import torch

from tests.core.support import build, described
from tests.models import example_for
from tli_cli import Options, apply_tli
from tli_cli.planning.between import plan_injection

UNLIKE = pytest.mark.parametrize(("source", "target"), [("vit", "resnet"), ("resnet", "vit"), ("mixer", "mobilenet")])


@UNLIKE
def test_no_map_is_made_between_unlike_networks(source, target):
    plan = plan_injection(described(target), [described(source)], Options(), "target")
    assert plan.relation == "unlike" and plan.coverage == 0 and "nothing similar" in plan.notes[0]
    assert all(step.action == "keep" and step.initial == "target" for step in plan.steps)


@UNLIKE
def test_what_can_be_run_on_the_same_inputs_is_fitted(source, target):
    given, wanted = build(source, 1), build(target, 2)
    plan = apply_tli(wanted, given, example=example_for(target), teacher_example=example_for(source))
    assert plan.method == "fit" and plan.fits and plan.coverage > 0.5
    assert all(bool(value.isfinite().all()) for value in wanted.state_dict().values())


def test_a_target_that_takes_other_inputs_stays_as_it_is():
    given, wanted = build("decoder", 1), build("resnet", 2)
    before = {name: tensor.clone() for name, tensor in wanted.state_dict().items()}
    plan = apply_tli(wanted, given, example=example_for("resnet"), teacher_example=example_for("decoder"))
    assert plan.coverage == 0 and "nothing similar" in plan.notes[0] and "not fitted" in plan.notes[1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in wanted.state_dict().items())


@pytest.mark.parametrize("method", ["even", "combo", "net2net"])
def test_other_methods_move_what_can_be_moved(method):
    given, wanted = build("vit", 1), build("resnet", 2)
    options = Options(method=method)
    plan = apply_tli(wanted, given, example=example_for("resnet"), teacher_example=example_for("vit"), options=options)
    assert plan.coverage > 0 and plan.relation == "other"


@pytest.mark.parametrize("target", ["resnet", "vgg", "mobilenet", "convnext"])
def test_networks_of_neighbouring_families_are_fed(target):
    given, wanted = build("resnet", 1), build(target, 2)
    assert apply_tli(wanted, given, example=example_for(target)).coverage > 0
