"""One U-Net as it is written in three ways: modules in modules, named sequences, lists."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import max_pool2d

CLASSES = 3
WIDTHS = (8, 16, 32)


def _layers(before: int, width: int) -> list[nn.Module]:
    first, second = (
        nn.Conv2d(before, width, 3, padding=1, bias=False),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
    )
    return [first, nn.BatchNorm2d(width), nn.ReLU(), second, nn.BatchNorm2d(width), nn.ReLU()]


class _Double(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(*_layers(before, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.double_conv(x)  # type: ignore[no-any-return]


class _Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.conv = _Double(2 * width, width)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([skip, self.up(x)], 1))  # type: ignore[no-any-return]


class Nested(nn.Module):
    """As in milesial/Pytorch-UNet: `inc`, `down1`, `up1`, `outc`."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.inc = _Double(3, first)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), _Double(first, second))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), _Double(second, third))
        self.up1, self.up2 = _Up(second), _Up(first)
        self.outc = nn.Conv2d(first, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.inc(x)
        second = self.down1(first)
        return self.outc(self.up2(self.up1(self.down2(second), second), first))  # type: ignore[no-any-return]


def _named(before: int, width: int, name: str) -> nn.Sequential:
    names = ("conv1", "norm1", "relu1", "conv2", "norm2", "relu2")
    return nn.Sequential(OrderedDict(zip((f"{name}{n}" for n in names), _layers(before, width), strict=True)))


class Named(nn.Module):
    """As in mateuszbuda/brain-segmentation-pytorch: `encoder1.enc1conv1`, and decoders counted downwards."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.encoder1, self.encoder2 = _named(3, first, "enc1"), _named(first, second, "enc2")
        self.bottleneck = _named(second, third, "bottleneck")
        self.upconv2, self.decoder2 = nn.ConvTranspose2d(third, second, 2, 2), _named(third, second, "dec2")
        self.upconv1, self.decoder1 = nn.ConvTranspose2d(second, first, 2, 2), _named(second, first, "dec1")
        self.conv = nn.Conv2d(first, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.encoder1(x)
        second = self.encoder2(max_pool2d(first, 2))
        x = self.upconv2(self.bottleneck(max_pool2d(second, 2)))
        x = self.upconv1(self.decoder2(torch.cat([second, x], 1)))
        return self.conv(self.decoder1(torch.cat([first, x], 1)))  # type: ignore[no-any-return]


class Lists(nn.Module):
    """As in tutorials: `downs`, and `ups` in which the two kinds of layers take turns."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.ups = nn.ModuleList()
        for width in (second, first):
            self.ups.extend([nn.ConvTranspose2d(2 * width, width, 2, 2), nn.Sequential(*_layers(2 * width, width))])
        self.downs = nn.ModuleList([nn.Sequential(*_layers(3, first)), nn.Sequential(*_layers(first, second))])
        self.bottleneck = nn.Sequential(*_layers(second, third))
        self.final_conv = nn.Conv2d(first, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.downs[0](x)
        second = self.downs[1](max_pool2d(first, 2))
        x = self.bottleneck(max_pool2d(second, 2))
        for i, skip in enumerate((second, first)):
            x = self.ups[2 * i + 1](torch.cat([skip, self.ups[2 * i](x)], 1))
        return self.final_conv(x)  # type: ignore[no-any-return]
