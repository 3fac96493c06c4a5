"""Training for a short while, with the accuracy on the test set along the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.convergence.data import Data

GRIDS = {"adamw": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), "sgd": (0.006, 0.02, 0.06, 0.2, 0.6)}
"""The learning rates of each optimizer, the usual one in the middle."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `every` is the distance of two looks at the test set, in steps."""

    optimizer: str = "adamw"
    rate: float = 3e-3
    steps: int = 120
    batch: int = 64
    every: int = 6
    warmup: int = 10
    cosine: bool = False

    def rate_at(self, step: int) -> float:
        rate = self.rate * min(1.0, (step + 1) / self.warmup)
        if not self.cosine:
            return rate
        return rate * 0.5 * (1 + float(torch.cos(torch.tensor(step / self.steps * torch.pi))))


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images that `model` classifies correctly, in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        return (model(images).argmax(1) == labels).float().mean().item()


@torch.enable_grad()
def train(model: nn.Module, data: Data, recipe: Recipe, seed: int) -> list[float]:
    """Train `model` in place and return its test accuracy before the first step and after every few."""
    model.to(memory_format=torch.channels_last)
    optimizer = _optimizer(model, recipe)
    generator = torch.Generator().manual_seed(seed)
    curve = [accuracy(model, data.test_images, data.test_labels)]
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        chosen = torch.randint(len(data.images), (recipe.batch,), generator=generator)
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(data.images[chosen]), data.labels[chosen]).backward()
        optimizer.step()
        if (step + 1) % recipe.every == 0:
            curve.append(accuracy(model, data.test_images, data.test_labels))
    return curve


def area(curve: Sequence[float]) -> float:
    """Return the mean accuracy over the steps (trapezoid rule): the area under the curve, in [0, 1]."""
    return (sum(curve) - (curve[0] + curve[-1]) / 2) / (len(curve) - 1)


def steps_to(curve: Sequence[float], level: float, every: int) -> float:
    """Return the step, interpolated, at which `curve` first reaches `level`; infinity if it never does."""
    if curve[0] >= level:
        return 0.0
    for index in range(1, len(curve)):
        before, after = curve[index - 1], curve[index]
        if after >= level:
            return every * (index - 1 + (level - before) / (after - before))
    return float("inf")


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), recipe.rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return torch.optim.AdamW(model.parameters(), recipe.rate, weight_decay=0.01, fused=True)
