"""Layers that are to be left as they start take nothing, and what is said of the others stays true."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from examples.nets import SmallResNet, WiderResNet
from tli_cli import GateError, Options, TliError, apply_tli, inject, match
from tli_cli.plan import SKIPPED, Plan

TARGET = "examples/nets.py:WiderResNet"


@pytest.fixture
def source(tmp_path: Path) -> str:
    torch.save(SmallResNet().state_dict(), tmp_path / "small.pt")
    return str(tmp_path / "small.pt")


def planned(source: str, *skip: str, **options: object) -> Plan:
    return match(source, TARGET, options=Options(input_shape=(1, 8, 8), skip=skip, **options))  # type: ignore[arg-type]


def left(plan: Plan) -> set[str]:
    return {step.layer for step in plan.steps if step.reason == SKIPPED}


@pytest.mark.parametrize(
    ("skip", "layers"),
    [
        (("head",), {"head"}),
        (("stem.0", "head"), {"stem.0", "head"}),
        (("stages.2.*.norm1",), {"stages.2.0.norm1", "stages.2.1.norm1"}),
        (("stages.1.1",), {f"stages.1.1.{name}" for name in ("conv1", "norm1", "conv2", "norm2")}),
    ],
)
def test_layers_are_named_by_their_paths_and_the_modules_around_them(source: str, skip, layers) -> None:
    plan = planned(source, *skip)
    assert left(plan) == layers and plan.relation == planned(source).relation
    assert all(step.action == "keep" and not step.exact for step in plan.steps if step.layer in layers)
    assert all(step.action == "transfer" or step.layer in layers or step.exact for step in plan.steps)


@pytest.mark.parametrize("skip", ["stages.1.0.conv1", "stages.1.1", "stages.1.1.norm2", "stages.2.0.shortcut"])
def test_what_stands_behind_a_layer_that_is_left_out_is_not_called_exact(source: str, skip: str) -> None:
    plan = planned(source, skip)
    doubted = {step.layer for step in plan.steps if step.action == "transfer" and not step.exact}
    assert doubted and "stem.0" not in doubted


def test_in_a_live_model_they_keep_what_they_hold() -> None:
    model = WiderResNet()
    held = model.head.weight.clone()
    plan = apply_tli(model, SmallResNet(), options=Options(skip=("head",)))
    assert torch.equal(model.head.weight, held) and left(plan) == {"head"}
    assert all(step.exact for step in plan.steps if step.layer != "head")


def test_they_and_their_partners_are_no_left_overs(source: str, tmp_path: Path) -> None:
    options = Options(input_shape=(1, 8, 8), skip=("head",), strict=True)
    inject(source, "examples/nets.py:WideResNet", tmp_path / "out.pt", options=options)
    spare = torch.load(source)
    spare["loss.centre"] = torch.ones(3)
    torch.save(spare, tmp_path / "spare.pt")
    with pytest.raises(GateError, match=r"found none in the target, 1 \(loss.centre\) in the source"):
        inject(str(tmp_path / "spare.pt"), "examples/nets.py:WideResNet", tmp_path / "out2.pt", options=options)


@pytest.mark.parametrize(
    ("skip", "said"),
    [
        (("haed", "stem"), "no layer or module of that name:\n  - haed; did you mean 'head'?"),
        (("classifier",), "classifier; it has head, stages, stem"),
    ],
)
def test_a_name_of_nothing_is_refused(source: str, skip: tuple[str, ...], said: str) -> None:
    with pytest.raises(TliError) as error:
        planned(source, *skip)
    assert said in str(error.value)


def test_a_fit_and_a_name_alone_are_refused(source: str) -> None:
    with pytest.raises(TliError, match="method fit changes all of them"):
        planned(source, "head", method="fit")
    with pytest.raises(TliError, match="skip: expected a tuple of names of layers, found 'head'"):
        Options(skip="head")  # type: ignore[arg-type]
