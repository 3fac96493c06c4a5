"""An image so small that a single place is left of it changes nothing about which layers are which."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tli_cli import Options, match

SIZES = [(3, 32, 32), (3, 8, 8), (3, 4, 4)]


class Block(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(width, out, 1, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.shortcut(x) + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


class Padded(nn.Sequential):
    def __init__(self, classes: int = 10) -> None:
        widths = (8, 16, 24, 32)
        blocks = [Block(*pair) for pair in pairwise(widths)]
        super().__init__(
            nn.Conv2d(3, 8, 3, 1, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes)
        )


class Strided(nn.Sequential):
    """Cuts its map into patches of 2x2 again and again, as ConvNeXt does."""

    def __init__(self, classes: int = 10) -> None:
        stages = [
            layer
            for width in (8, 16)
            for layer in (nn.Conv2d(width, 2 * width, 2, 2), nn.GELU(), nn.Conv2d(2 * width, 2 * width, 3, 1, 1))
        ]
        super().__init__(nn.Conv2d(3, 8, 1), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("net", ["Padded", "Strided"])
def test_layers_are_what_they_are_on_larger_images(net: str, size: tuple[int, int, int]) -> None:
    options = Options(input_shape=size, source_input_shape=(3, 32, 32))
    plan = match(f"{__file__}:{net}", f"{__file__}:{net}(classes=3)", options=options)
    fed = {step.target: step for step in plan.steps if step.action == "transfer"}
    head = {step.target for step in plan.steps if step.shape[:1] == (3,)}
    assert fed.keys() | head == plan.by_target.keys()
    assert all(step.exact and step.pieces[0].source == name for name, step in fed.items())
