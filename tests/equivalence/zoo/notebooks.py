"""Networks as notebooks and original repositories write them: norms written out, patches as vectors."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import nn

WIDTH, INNER, HEADS, CLASSES, TOKENS = 48, 96, 4, 10, 61


class ChannelNorm(nn.Module):
    """A layer norm over channels that is written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.eps = 1e-6

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        apart = x - x.mean(1, keepdim=True)
        normed = apart / torch.sqrt(apart.pow(2).mean(1, keepdim=True) + self.eps)
        return self.weight[:, None, None] * normed + self.bias[:, None, None]


class ConvBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial, self.n = nn.Conv2d(width, width, 7, padding=3, groups=width), ChannelNorm(width)
        self.widen, self.narrow = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)
        self.ls = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.ls * self.narrow(functional.gelu(self.widen(self.n(self.spatial(x)))))


class ConvNet(nn.Module):
    """A ConvNeXt: all that shrinks the map in one list, all blocks in another."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 48, 64)
        self.downs = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 16, 4, 4), ChannelNorm(16))])
        for given, made in pairwise(widths):
            self.downs.append(nn.Sequential(ChannelNorm(given), nn.Conv2d(given, made, 2, 2)))
        depths = (1, 2, 1, 1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.fin, self.logits = ChannelNorm(64), nn.Linear(64, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(down(x))
        return self.logits(self.fin(x.mean((2, 3), keepdim=True)).flatten(1))


def convnext() -> nn.Module:
    return ConvNet()


class Vectors(nn.Module):
    """A ViT whose patches are taken as vectors, the colours last, and projected."""

    def __init__(self) -> None:
        super().__init__()
        self.to_patch = nn.Linear(3 * 64, WIDTH)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, 17, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.out = nn.Linear(WIDTH, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        b, c, h, w = image.shape
        x = image.view(b, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, 64 * c)
        x = torch.cat((self.cls.expand(b, -1, -1), self.to_patch(x)), 1) + self.pos
        return self.out(self.body(x)[:, 0])


def vit_of_vectors() -> nn.Module:
    return Vectors()


class Queries(nn.Module):
    """A convolutional network with frozen norms or plain ones, read by queries of a decoder."""

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        from torchvision.models.resnet import BasicBlock, ResNet
        from torchvision.ops import FrozenBatchNorm2d

        resnet = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=FrozenBatchNorm2d if frozen else None)
        self.backbone = nn.Sequential(*list(resnet.children())[:-2])
        self.conv, self.q = nn.Conv2d(512, WIDTH, 1), nn.Parameter(torch.zeros(6, WIDTH))
        self.dec = nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, 0.0)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        memory = self.conv(self.backbone(x)).flatten(2).permute(2, 0, 1)
        return self.head(self.dec(self.q.unsqueeze(1).expand(-1, x.shape[0], -1), memory))


def queries() -> nn.Module:
    return Queries()


def queries_frozen() -> nn.Module:
    return Queries(frozen=True)


class Recurrent(nn.Module):
    """A language model of one recurrent module with two layers, or of two modules."""

    def __init__(self, together: bool) -> None:
        super().__init__()
        self.emb = nn.Embedding(TOKENS, WIDTH)
        count = 1 if together else 2
        self.cores = nn.ModuleList(nn.LSTM(WIDTH, WIDTH, 2 // count, batch_first=True) for _ in range(count))
        self.out = nn.Linear(WIDTH, TOKENS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.emb(ids)
        for core in self.cores:
            x = core(x)[0]
        return self.out(x)


def lstm() -> nn.Module:
    return Recurrent(together=True)


def lstm_apart() -> nn.Module:
    return Recurrent(together=False)


class Normed(nn.Module):
    """A network over time whose middle convolution's weight is a direction and a length (arXiv 1602.07868)."""

    def __init__(self, hooked: bool) -> None:
        super().__init__()
        norm = nn.utils.weight_norm if hooked else nn.utils.parametrizations.weight_norm
        self.first = nn.Conv1d(4, 8, 3)
        self.middle = norm(nn.Conv1d(8, 8, 3))
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(functional.gelu(self.middle(functional.gelu(self.first(x)))).mean(-1))  # type: ignore[no-any-return]


def weight_norm() -> nn.Module:
    return Normed(hooked=False)


def weight_norm_of_hooks() -> nn.Module:
    return Normed(hooked=True)
