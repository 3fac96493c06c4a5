"""The catalogue holds the numbers of the library's code: a name is what its model is when it is run."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from tests.score.conftest import write_header
from tli_cli import catalogue
from tli_cli.api import match, score
from tli_cli.catalogue.subjects import subject_of
from tli_cli.options import Options
from tli_cli.providers.described import record, run
from tli_cli.references import Reading, related, resolve

pytestmark = pytest.mark.usefixtures("timm", "torchvision")

FEW_TENSORS = 160
"""Larger networks take longer and show no more."""


def _sample(count):
    names = sorted(map(str, catalogue.names()))
    random.Random(9).shuffle(names)
    small = (name for name in names if len(catalogue.load(name).tensors) < FEW_TENSORS)
    return [next(small) for _ in range(count)]


@pytest.mark.parametrize("name", _sample(6))
def test_a_name_is_what_its_model_is_when_it_is_run(name):
    subject = subject_of(*name.split(":"))
    options = {**subject.defaults, "num_classes": 7} if "num_classes" in subject.defaults else subject.defaults
    model, _, _ = record(subject, options)
    live, problem = run(subject, model.to("meta"), options, "")
    held = catalogue.load(name, **({"num_classes": 7} if "num_classes" in options else {}))
    assert not problem
    assert replace(held, initial={}, order_from="trace", origin="") == live


def _reasons(source, target):
    plan = match(str(source), target)
    assert all(step.pieces for step in plan.steps), "every tensor has its partner, whatever the code"
    assert (score(str(source), target).forward == 1) == all(step.exact for step in plan.steps)
    return {step.reason for step in plan.steps if not step.exact}


def _checkpoint(timm, path, prefix=""):
    inner = timm.create_model("efficientnet_b0").state_dict()
    torch.save({f"{prefix}{name}": tensor for name, tensor in inner.items()}, path)
    return path


@pytest.mark.parametrize("source", ["timm:resnet18", "torchvision:resnet18"])
def test_what_changes_nothing_is_exact_and_gaps_between_taps_are_not(source):
    assert not _reasons(source, "timm:resnet18?drop_rate=0.1")
    assert "taps 2x2 apart, in the source 1x1" in _reasons(source, "timm:resnet18?output_stride=16")


def test_two_names_of_other_code_are_not_exact():
    source, target = "torchvision:fcn_resnet50", "torchvision:deeplabv3_resnet50"
    plan = match(source, "timm:resnet50")
    assert "taps 1x1 apart, in the source 2x2" in {step.reason for step in plan.steps}
    assert 0 < score(source, "timm:resnet50").forward < 1 and 0 < score(source, target).forward < 1


def test_a_pool_to_the_size_that_a_map_has_changes_nothing():
    assert not _reasons("torchvision:vgg11", "timm:vgg11")


def test_another_form_of_an_activation_is_not_exact():
    name = "timm:vit_tiny_patch16_224"
    assert not _reasons(name, f"{name}?drop_path_rate=0.1")
    assert _reasons(name, f"{name}?act_layer=gelu_tanh") == {"behind it gelu tanh, in the source gelu "}


def test_a_checkpoint_that_several_names_fit_may_be_any_of_them(timm, tmp_path):
    checkpoint = _checkpoint(timm, tmp_path / "net.pt", "module.backbone.")
    for name in ("efficientnet_b0", "tf_efficientnet_b0", "tf_efficientnet_b0?drop_rate=0.1"):
        assert not _reasons(checkpoint, f"timm:{name}")
    assert _reasons("timm:efficientnet_b0", "timm:tf_efficientnet_b0")


def test_a_file_that_several_names_fit_is_the_plainest_beside_what_tells_nothing(tmp_path):
    plain, other = resolve("timm:efficientnet_b0", Reading(num_classes=7)), resolve("resnet18")
    file = resolve(str(write_header(plain.architecture, tmp_path / "x.safetensors")))
    for pair in ([file, other], [other, file]):
        found = next(r for r in related(pair) if r.text == file.text)
        assert found.architecture.layers == plain.architecture.layers
    read, _ = related([file, resolve("timm:tf_efficientnet_b0")])
    assert read.architecture.origin.endswith("(timm tf_efficientnet_b0, num_classes=7)")
    assert any("those of timm efficientnet_b0, num_classes=7 too" in doubt for doubt in read.doubts)
    assert not related([file, resolve("timm:efficientnet_b0")])[0].doubts


def test_a_checkpoint_that_is_named_is_that_one(timm, tmp_path):
    checkpoint = _checkpoint(timm, tmp_path / "net.pt")
    options = Options(source_arch="timm:efficientnet_b0")
    plan = match(str(checkpoint), "timm:tf_efficientnet_b0?drop_rate=0.1", options=options)
    assert any("added to the variance" in step.reason for step in plan.steps)
