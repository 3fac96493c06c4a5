"""What the catalogue describes has the numbers of the library's code where the other side was run."""

from __future__ import annotations

import pytest
import torch

from tli_cli.api import match
from tli_cli.options import Options

pytestmark = pytest.mark.usefixtures("timm", "torchvision")


def _reasons(source, target):
    plan = match(str(source), target)
    assert all(step.pieces for step in plan.steps), "every tensor has its partner, whatever the code"
    return {step.reason for step in plan.steps if not step.exact}


def _checkpoint(timm, path, prefix=""):
    inner = timm.create_model("efficientnet_b0").state_dict()
    torch.save({f"{prefix}{name}": tensor for name, tensor in inner.items()}, path)
    return path


@pytest.mark.parametrize("source", ["timm:resnet18", "torchvision:resnet18"])
def test_what_changes_nothing_is_exact_and_gaps_between_taps_are_not(source):
    assert not _reasons(source, "timm:resnet18?drop_rate=0.1")
    assert "taps 2x2 apart, in the source 1x1" in _reasons(source, "timm:resnet18?output_stride=16")


def test_another_form_of_an_activation_is_not_exact():
    name = "timm:vit_tiny_patch16_224"
    assert not _reasons(name, f"{name}?drop_path_rate=0.1")
    assert _reasons(name, f"{name}?act_layer=gelu_tanh") == {"behind it gelu tanh, in the source gelu "}


def test_a_checkpoint_that_several_names_fit_may_be_any_of_them(timm, tmp_path):
    checkpoint = _checkpoint(timm, tmp_path / "net.pt", "module.backbone.")
    for name in ("efficientnet_b0", "tf_efficientnet_b0"):
        assert not _reasons(checkpoint, f"timm:{name}?drop_rate=0.1")
    assert _reasons("timm:efficientnet_b0", "timm:tf_efficientnet_b0?drop_rate=0.1")


def test_a_checkpoint_that_is_named_is_that_one(timm, tmp_path):
    checkpoint = _checkpoint(timm, tmp_path / "net.pt")
    options = Options(source_arch="timm:efficientnet_b0")
    plan = match(str(checkpoint), "timm:tf_efficientnet_b0?drop_rate=0.1", options=options)
    assert any("added to the variance" in step.reason for step in plan.steps)
