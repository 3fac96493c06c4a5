"""Accuracy before any step: what the features are worth with a head fitted in closed form."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.convergence.data import Data
from benchmarks.convergence.networks import head_of

COUNT = 1500


def probe(model: nn.Module, data: Data, ridge: float = 1.0) -> float:
    """Return the test accuracy of a ridge classifier on what `model` feeds its head."""
    features = _features(model, data.images[:COUNT])
    mean, scale = features.mean(0), features.std(0) + 1e-8
    inputs = (features - mean) / scale
    targets = torch.nn.functional.one_hot(data.labels[:COUNT], data.classes).double()
    gram = inputs.T @ inputs + ridge * torch.eye(inputs.shape[1], dtype=inputs.dtype) * len(inputs) / 100
    weight = torch.linalg.solve(gram, inputs.T @ (targets - targets.mean(0)))
    scores = (_features(model, data.test_images) - mean) / scale @ weight + targets.mean(0)
    return (scores.argmax(1) == data.test_labels).float().mean().item()


def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    kept: list[torch.Tensor] = []
    _, head = head_of(model)
    hook = head.register_forward_hook(lambda _module, inputs, _output: kept.append(inputs[0]))
    model.eval()
    with torch.inference_mode():
        model(images)
    hook.remove()
    return kept[0].double()
