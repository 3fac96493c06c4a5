"""Run torchvision's detectors up to where boxes are picked, which depends on values and so cannot be traced."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves


def traceable(model: nn.Module) -> nn.Module:
    """Return `model`, with a forward that stops before boxes are picked if it is a detector."""
    if hasattr(model, "anchor_generator") and hasattr(model, "head"):
        model.forward = MethodType(lambda own, images: own.head(_levels(own.backbone(images))), model)
    return without_crops(model)


def without_crops(model: nn.Module) -> nn.Module:
    """Return `model`, with heads that take whole maps if it is a detector that crops them by boxes that it picks."""
    if _crops(model):
        model.forward = MethodType(_two_stages, model)
    return model


def one_batch(model: nn.Module, example: Any) -> Any:
    """Return `example`; of a list of images, `(channels, height, width)` each, as a detector that crops takes them, a
    batch of the first one."""
    image = next(iter(tree_leaves(example)), None) if isinstance(example, (list, tuple)) else None
    if not _crops(model) or not isinstance(image, torch.Tensor) or image.ndim != 3:
        return example
    return torch.stack([image, image])


def _crops(model: nn.Module) -> bool:
    heads = getattr(model, "roi_heads", None)
    return hasattr(model, "rpn") and all(hasattr(heads, n) for n in ("box_roi_pool", "box_head", "box_predictor"))


def _levels(features: Any) -> list[torch.Tensor]:
    return list(features.values()) if isinstance(features, Mapping) else [features]


def _two_stages(model: Any, images: torch.Tensor) -> list[Any]:
    """Run every head on whole feature maps, resized to what boxes of them would be."""
    features, heads = _levels(model.backbone(images)), model.roi_heads
    outputs: list[Any] = [model.rpn.head(features)]
    boxes = _cropped(features[0], heads.box_roi_pool)
    outputs.append(heads.box_predictor(heads.box_head(boxes)))
    for kind in ("mask", "keypoint"):
        if getattr(heads, f"{kind}_head", None) is not None:
            crops = _cropped(features[0], getattr(heads, f"{kind}_roi_pool"))
            outputs.append(getattr(heads, f"{kind}_predictor")(getattr(heads, f"{kind}_head")(crops)))
    return outputs


def _cropped(features: torch.Tensor, pool: Any) -> torch.Tensor:
    return nn.functional.adaptive_avg_pool2d(features, pool.output_size)
