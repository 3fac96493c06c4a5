"""Copies of one channel part in training, whatever the size of a step depends on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tli_cli import apply_tli


def dense(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(12, width), nn.ReLU(), nn.Linear(width, 5))


def convolutional(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5),
    )  # fmt: skip


CASES = {"dense": (dense, (8, 12)), "convolutional": (convolutional, (8, 3, 8, 8))}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_copies_part(name, optimizer):
    build, shape = CASES[name]
    torch.manual_seed(0)
    source, target, x = build(6), build(12), torch.randn(shape)
    apply_tli(target, source, example=shape)
    first = target[0].weight
    assert torch.equal(first[:6], first[6:])
    assert torch.allclose(target.eval()(x), source.eval()(x), atol=1e-5)
    steps = optimizer(target.parameters(), 1e-2)
    before = first.detach().clone()
    for _ in range(5):
        steps.zero_grad()
        nn.functional.cross_entropy(target.train()(x), torch.arange(8) % 5).backward()
        steps.step()
    moved, apart = (first - before)[:6].norm(), (first[:6] - first[6:]).norm()
    assert apart > 0.2 * moved
