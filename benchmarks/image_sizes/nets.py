"""Networks of timm for images of 96 x 96: small ones of the library, and its classes at smaller widths."""

from __future__ import annotations

from torch import nn

from tli_cli.catalogue.libraries import import_timm

timm = import_timm()


def resnet(classes: int, width: int = 24) -> nn.Module:
    """Return a ResNet-18 of `width` channels in its first stage."""
    from timm.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [2, 2, 2, 2], channels=[width << stage for stage in range(4)], num_classes=classes)


def bottlenecks(classes: int, width: int = 16) -> nn.Module:
    """Return a ResNet of bottlenecks."""
    from timm.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 2, 2, 1], channels=[width << stage for stage in range(4)], num_classes=classes)


def convnext(classes: int, width: int = 24) -> nn.Module:
    """Return a ConvNeXt of `width` channels in its first stage."""
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(depths=(2, 2, 4, 2), dims=[width << stage for stage in range(4)], num_classes=classes)


def named(classes: int, name: str) -> nn.Module:
    """Return the network that timm calls `name`."""
    return timm.create_model(name, num_classes=classes)
