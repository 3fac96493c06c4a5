"""What is built around another network takes that network whole, and nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.equivalence.harness import EXACT, batch, transfer
from tli_cli import Options, apply_tli, match
from tli_cli.catalogue.libraries import import_torchvision

CASES = [
    ("images:timm_resnet", "layer4", "around:fcn", "backbone", "backbone.layer4"),
    ("images:tv_resnet", "layer4", "around:retinanet", "backbone.body", "backbone.body.layer4"),
    ("around:convnext", "convnext.encoder.stages.3", "around:upernet", "backbone", "backbone.encoder.stages.3"),
    ("around:vit", "vit.layers.3", "around:dpt", "dpt", "dpt.encoder.layer.3"),
    ("images:timm_resnet", "layer4", "around:maskformer", "model.pixel_level_module.encoder",
     "model.pixel_level_module.encoder.encoder.stages.3"),
]  # fmt: skip
PARAMETERS = [
    pytest.param(*case, id=f"{case[0]}->{case[2]}", marks=[] if i == 1 else [pytest.mark.whole])
    for i, case in enumerate(CASES)
]
OWN = ("norm", "mask_token", "pooler")
"""What a backbone may hold besides: norms of its stages, which no classifier has, and what only another task uses."""


@pytest.mark.parametrize(("source", "features", "target", "inside", "same"), PARAMETERS)
def test_a_backbone_arrives_whole(
    source: str, features: str, target: str, inside: str, same: str, tmp_path: Path
) -> None:
    shape = (3, 32, 32) if "vit" in source else (3, 64, 64)
    result = transfer(tmp_path, source, target, shape=shape, options=Options(method="maps"))
    for step in result.report.plan.steps:
        if not step.target.startswith(inside):
            assert step.action == "keep", step.target
        elif not any(word in step.target for word in OWN):
            assert (step.action, step.resizer) == ("transfer", "copy"), step.target
    sample = batch(result.source, shape)
    mine, theirs = made(result.target, same, sample), made(result.source, features, sample)
    assert torch.isfinite(mine).all() and float((mine - theirs).abs().max() / theirs.abs().max()) < EXACT


@torch.no_grad()
def made(model: nn.Module, path: str, sample: torch.Tensor) -> torch.Tensor:
    """Return what a module of `model` makes of `sample`, whatever comes behind it."""
    found: list[torch.Tensor] = []
    hook = model.get_submodule(path).register_forward_hook(lambda _, args, out: found.append(first(out).clone()))
    try:
        (getattr(model, "backbone", model) if hasattr(model, "anchor_generator") else model).double()(sample)
    finally:
        hook.remove()
    return found[0]


def first(out: object) -> torch.Tensor:
    """Return the tensor that a module gives, or the first of several."""
    return out if isinstance(out, torch.Tensor) else out[0]  # type: ignore[index,no-any-return]


@pytest.mark.parametrize(
    ("source", "target", "inside"),
    [
        ("mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_fpn", "backbone.body"),
        ("mobilenet_v3_large", "ssdlite320_mobilenet_v3_large", "backbone.features.0"),
        ("vgg16", "ssd300_vgg16", "backbone.features"),
    ],
)
def test_a_backbone_arrives_whole_where_a_detector_cuts_it_otherwise(source: str, target: str, inside: str) -> None:
    plan = match(f"torchvision:{source}", f"torchvision:{target}", options=Options(method="maps"))
    steps = [step for step in plan.steps if step.target.startswith(f"{inside}.")]
    assert steps and all((step.action, step.resizer) == ("transfer", "copy") for step in steps)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_live_detector_is_run_on_a_list_of_images(wrapped: bool) -> None:
    models = import_torchvision().models
    images = [torch.rand(3, 64, 64), torch.rand(3, 80, 64)]
    detector = models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    source = models.mobilenet_v3_large()
    plan = apply_tli(detector, source.state_dict(), example=(images,) if wrapped else images)
    steps = [step for step in plan.steps if step.target.startswith("backbone.body.")]
    assert steps and all((step.action, step.resizer) == ("transfer", "copy") for step in steps)
    own, held = source.features.state_dict(), detector.backbone.body.state_dict()
    assert all(torch.equal(held[name], own[name]) for name in held)


def test_what_a_detector_adds_takes_no_layer_of_another_width_that_has_a_twin() -> None:
    plan = match("torchvision:vgg16", "torchvision:ssd300_vgg16", options=Options(method="maps"))
    resized = [piece.source for step in plan.steps if step.resizer == "maps" for piece in step.pieces]
    assert not any(name.startswith("features.") for name in resized)
