"""Split attention (arXiv 2004.08955) in two ways: parts added one by one, and summed as an axis of their own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models import randomised
from tli_cli import Options, apply_tli

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Split(nn.Module):
    def __init__(self, by_parts: bool) -> None:
        super().__init__()
        self.by_parts = by_parts
        self.conv, self.wide = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3, groups=2)
        self.fc1, self.fc2, self.head = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 16, 1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.wide(self.conv(x).relu()).relu()
        parts = x.split(8, 1) if self.by_parts else x.unflatten(1, (2, 8))
        gap = (sum(parts) if self.by_parts else parts.sum(1)).mean((2, 3), keepdim=True)  # type: ignore[union-attr,arg-type]
        weights = self.fc2(self.fc1(gap).relu()).view(len(x), 1, 2, -1).transpose(1, 2).softmax(1)
        if not self.by_parts:
            return self.head((parts * weights.reshape(len(x), 2, -1, 1, 1)).sum(1).mean((2, 3)))  # type: ignore[operator]
        shares = weights.reshape(len(x), -1, 1, 1).split(8, 1)
        return self.head(sum(a * b for a, b in zip(shares, parts, strict=True)).mean((2, 3)))  # type: ignore[union-attr]


@pytest.mark.parametrize("by_parts", [True, False])
def test_the_parts_keep_their_places(by_parts: bool) -> None:
    source, target = randomised(Split(not by_parts)), Split(by_parts)
    apply_tli(target, source, example=torch.randn(2, 3, 8, 8), options=Options(method="maps"))
    with torch.no_grad():
        assert torch.allclose(source.double().eval()(IMAGES), target.double().eval()(IMAGES), atol=1e-6)
