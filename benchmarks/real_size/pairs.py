"""Which network is started from which, and what each is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.real_size import nets

FILE = Path(nets.__file__)


@dataclass(frozen=True)
class Net:
    """A factory of `nets.py` and its arguments."""

    factory: str
    args: tuple[tuple[str, int | str], ...]

    def reference(self, classes: int) -> str:
        """Return what `tli` is told."""
        return f"{FILE}:{self.factory}?" + "&".join(
            f"{key}={value}" for key, value in (("classes", classes), *self.args)
        )

    def build(self, classes: int, seed: int) -> nn.Module:
        """Return the network with its constructor's own start, drawn from `seed`."""
        torch.manual_seed(seed)
        model: nn.Module = getattr(nets, self.factory)(classes=classes, **dict(self.args))
        return model

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (nets.CONTEXT,) if self.factory == "Decoder" else (3, nets.SIDE, nets.SIDE)


@dataclass(frozen=True)
class Pair:
    """A source and a target with their tasks; `keeps_head` where the two tasks have the same classes."""

    source: Net
    target: Net
    source_task: str = "capitals"
    target_task: str = "small letters"
    keeps_head: bool = False


def _stages(first: str, second: str) -> Pair:
    return Pair(Net("stages", (("name", first),)), Net("stages", (("name", second),)))


def _tokens(first: str, second: str) -> Pair:
    return Pair(Net("tokens", (("name", first),)), Net("tokens", (("name", second),)))


def _decoder(width: int, depth: int, heads: int, groups: int) -> Net:
    return Net("Decoder", (("width", width), ("depth", depth), ("heads", heads), ("groups", groups)))


PAIRS = {
    "ResNet-18 to ResNet-34": _stages("resnet18", "resnet34"),
    "EfficientNet-B0 to B1": _stages("efficientnet_b0", "efficientnet_b1"),
    "MobileNet v2 to 1.4 x wider": _stages("mobilenetv2_100", "mobilenetv2_140"),
    "ConvNeXt atto to nano": _stages("convnext_atto", "convnext_nano"),
    "ViT tiny to small": _tokens("vit_tiny_patch16_224", "vit_small_patch16_224"),
    "decoder, 4 x 256 to 8 x 512": Pair(
        _decoder(256, 4, 4, 2), _decoder(512, 8, 8, 4), "standard library", "sympy", keeps_head=True
    ),
    "ResNet-50 to ResNet-26": _stages("resnet50", "resnet26"),
    "ViT small to tiny": _tokens("vit_small_patch16_224", "vit_tiny_patch16_224"),
    "ResNet-34 to ResNet-50": _stages("resnet34", "resnet50"),
    "ResNet-18 to MobileNet v2": _stages("resnet18", "mobilenetv2_100"),
}
