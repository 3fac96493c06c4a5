"""One small residual network on frames and on clips."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dims: int) -> None:
        super().__init__()
        conv = nn.Conv3d if dims == 3 else nn.Conv2d
        norm = nn.BatchNorm3d if dims == 3 else nn.BatchNorm2d
        stride = (1, 2, 2)[-dims:]
        self.stem, self.bn = conv(3, 16, 3, stride=stride, padding=1), norm(16)
        self.conv1, self.bn1 = conv(16, 24, 3, padding=1), norm(24)
        self.conv2, self.bn2 = conv(24, 16, 3, padding=1), norm(16)
        self.last = conv(16, 32, 1)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.stem(x)).relu()
        x = (x + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()
        return self.fc(self.last(x).flatten(2).mean(-1))


def frames() -> nn.Module:
    return Net(2)


def clips() -> nn.Module:
    return Net(3)
