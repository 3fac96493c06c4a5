"""Training on a device, with the share of what is told rightly along the way."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.real_size.tasks import Task

BATCH, LOOKS = 64, 10


def train(model: nn.Module, task: Task, rate: float, steps: int, seed: int, cosine: bool = False) -> list[float]:
    """Train `model` in place by AdamW and return how much of the test it tells before the first step and after each
    tenth of them."""
    model.to(task.given.device)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01, fused=task.given.is_cuda)
    train_part, _ = task.parts()
    given, told = task.given[train_part], task.told[train_part]
    generator = torch.Generator().manual_seed(seed)
    curve = [_right(model, task)]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * _share(step, steps, cosine)
        chosen = torch.randint(len(given), (BATCH,), generator=generator).to(given.device)
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(given[chosen]).flatten(0, -2), told[chosen].flatten()).backward()
        optimizer.step()
        if (step + 1) % max(1, steps // LOOKS) == 0:
            curve.append(_right(model, task))
    return curve


def _share(step: int, steps: int, cosine: bool) -> float:
    """Return which share of the rate a step takes: it rises over the first twentieth, then stays or falls."""
    raised = min(1.0, (step + 1) / max(1, steps // 20))
    return raised * (0.5 * (1 + math.cos(math.pi * step / steps)) if cosine else 1.0)


def _right(model: nn.Module, task: Task) -> float:
    model.eval()
    _, test_part = task.parts()
    given, told = task.given[test_part], task.told[test_part]
    with torch.inference_mode():
        found = [
            model(part).argmax(-1) == answer
            for part, answer in zip(given.split(4 * BATCH), told.split(4 * BATCH), strict=True)
        ]
    return torch.cat(found).float().mean().item()
