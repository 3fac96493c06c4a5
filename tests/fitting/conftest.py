"""Pairs of small networks of which the second cannot keep the function of the first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models import NETS, randomised

PAIRS = {
    "residual to inverted": (("resnet", {"width": 8}), ("mobilenet", {"width": 10})),
    "residual to scaled": (("resnet", {"width": 8}), ("convnext", {"width": 8})),
    "plain to residual": (("vgg", {}), ("resnet", {"width": 8})),
    "narrower": (("resnet", {"width": 8}), ("resnet", {"width": 5})),
    "shallower": (("resnet", {"width": 8}), ("resnet", {"width": 8, "depth": 1})),
    "attention to mixing": (("vit", {"width": 12}), ("mixer", {"width": 16})),
}


@pytest.fixture(params=PAIRS, scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """Return a source with values as after training, and a target of another number of classes."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    (first, given), (second, other) = PAIRS[request.param]
    return randomised(NETS[first](**given)).float(), NETS[second](**other, classes=7).eval()
