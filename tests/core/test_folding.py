"""A batch norm that one network has and the other lacks is taken into the layer before it, or changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import apply_tli, inspect, match
from tli_cli.injection.plan_checks import PlanCheck
from tli_cli.options import Options
from tli_cli.plan import Plan

SOURCE, TARGET = "timm:vgg16_bn", "torchvision:vgg19"
IMAGES = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A stem and a residual block of grouped and whole convolutions, each with a norm, a bias, or both behind it."""

    def __init__(self, norm: bool, bias: bool, width: int = 8, groups: int = 1, epsilon: float = 1e-5) -> None:
        super().__init__()

        def conv(inputs: int, groups: int = 1) -> nn.Sequential:
            layer = nn.Conv2d(inputs, width, 3, padding=1, groups=groups, bias=bias)
            return nn.Sequential(layer, *([nn.BatchNorm2d(width, epsilon)] if norm else []))

        self.stem, self.first, self.second = conv(3), conv(width, groups), conv(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        return self.head((x + self.second(torch.relu(self.first(x)))).mean((2, 3)))


def injected(source: nn.Module, target: nn.Module, **options: Options) -> tuple[float, Plan]:
    source, target = randomised(source, 1).double().eval(), randomised(target, 2).double().eval()
    plan = apply_tli(target, source, example=IMAGES, **options)
    return distance(source, target, (IMAGES,)), plan


@pytest.mark.parametrize(("bias", "groups", "width"), [(False, 1, 8), (True, 4, 16), (False, 4, 12)])
def test_a_norm_is_folded_into_the_layer_before_it(bias, groups, width):
    far, plan = injected(Net(True, bias, groups=groups), Net(False, True, width, groups))
    assert far < 1e-12
    assert all(step.exact for step in plan.steps)
    assert not plan.unused
    assert Plan.from_json(plan.to_json()) == plan


def test_a_norm_is_folded_with_the_epsilon_of_its_own():
    far, plan = injected(Net(True, True, epsilon=0.01), Net(False, True))
    assert far < 1e-12 and all(step.exact for step in plan.steps)


def test_norms_of_other_epsilons_do_not_compute_the_same():
    far, plan = injected(Net(True, True, epsilon=0.01), Net(True, True))
    assert far > 1e-3
    norms = {step.layer: step.reason for step in plan.steps if step.role == "running_var" and not step.exact}
    assert set(norms) == {"stem.1", "first.1", "second.1"}
    assert norms["stem.1"] == "1e-05 is added to the variance, in the source 1e-02"


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("width", "epsilon"), [(8, 1e-5), (16, 1e-2)])
def test_a_norm_that_the_source_lacks_changes_nothing(bias, width, epsilon):
    far, plan = injected(Net(False, True), Net(True, bias, width, epsilon=epsilon))
    assert far < 1e-12
    assert plan.by_target["stem.1.running_var"].initial == str(1 - epsilon)
    assert Plan.from_json(plan.to_json()) == plan
    assert all(step.exact for step in plan.steps) and not plan.unused


def test_a_norm_behind_a_layer_that_does_not_keep_the_function_promises_nothing():
    _, plan = injected(Net(False, True), Net(True, False, width=6), options=Options(method="maps"))
    norms = {step.target: step.exact for step in plan.steps if step.layer in ("stem.1", "first.1", "second.1")}
    assert len(norms) == 15 and not any(norms.values())


def test_without_a_bias_to_hold_it_no_norm_is_folded_and_nothing_promised():
    far, plan = injected(Net(True, False), Net(False, False))
    assert far > 1e-3
    assert not any(step.exact for step in plan.steps if step.role == "weight" and step.layer != "head")
    assert not any(piece.fold for step in plan.steps for piece in step.pieces)


@pytest.mark.parametrize("method", ["crop", "combo"])
def test_methods_that_treat_each_tensor_alone_fold_nothing(method):
    _, plan = injected(Net(True, True), Net(False, True), options=Options(method=method))
    assert not any(piece.fold for step in plan.steps for piece in step.pieces)


@pytest.mark.parametrize(("field", "name"), [("variance", "missing"), ("scale", "head.fc.bias"), ("mean", "")])
def test_a_plan_that_folds_what_does_not_fit_is_refused(field, name):
    sides = [inspect(name) for name in (SOURCE, TARGET)]
    plan = match(SOURCE, TARGET)
    assert not list(PlanCheck(plan, sides[:1], sides[1]).problems())
    step = next(step for step in plan.steps if step.pieces and step.pieces[0].fold)
    fold = replace(step.pieces[0].fold, **{field: name})
    changed = replace(step, pieces=(replace(step.pieces[0], fold=fold),))
    steps = tuple(changed if other is step else other for other in plan.steps)
    problems = list(PlanCheck(replace(plan, steps=steps), sides[:1], sides[1]).problems())
    assert len(problems) == 1 and (name or "no tensor") in problems[0]


def test_every_step_of_a_fold_is_exact_beside_added_layers():
    plan = match(SOURCE, TARGET)
    folded = [step for step in plan.steps if any(piece.fold for piece in step.pieces)]
    assert len(folded) == 26 and all(step.exact for step in folded)
