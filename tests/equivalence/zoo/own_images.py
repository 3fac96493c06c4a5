"""Image networks as people write them themselves, and the models of timm that transformers holds under its names."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

from tli_cli.catalogue.libraries import import_timm

timm = import_timm()
WIDTH, INNER, HEADS, CLASSES = 48, 96, 4, 10


class Separate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        q, k, v = (made(x).view(b, n, HEADS, -1).transpose(1, 2) for made in (self.query, self.key, self.value))
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, WIDTH))


class Joint(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mha(x, x, x, need_weights=False)[0]


class Block(nn.Module):
    def __init__(self, separate: bool) -> None:
        super().__init__()
        self.a_norm, self.attend = nn.LayerNorm(WIDTH), Separate() if separate else Joint()
        self.f_norm = nn.LayerNorm(WIDTH)
        self.ff = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attend(self.a_norm(x))
        return x + self.ff(self.f_norm(x))


class Patches(nn.Module):
    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.to_patch_embedding = nn.Conv2d(3, WIDTH, 8, 8)
        self.cls, self.positions = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, 17, WIDTH))
        self.transformer, self.out = transformer, nn.Linear(WIDTH, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.to_patch_embedding(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.out(self.transformer(x)[:, 0])


def vit_joint() -> nn.Module:
    return Patches(nn.Sequential(Block(False), Block(False), nn.LayerNorm(WIDTH)))


def vit_separate() -> nn.Module:
    return Patches(nn.Sequential(Block(True), Block(True), nn.LayerNorm(WIDTH)))


def vit_torch() -> nn.Module:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, "gelu", batch_first=True, norm_first=True)
    return Patches(nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False))


class Residual(nn.Module):
    """A residual block whose shortcut may be defined before its body."""

    def __init__(self, given: int, made: int, stride: int, skip_first: bool) -> None:
        super().__init__()
        if skip_first:
            self.skip = _skip(given, made, stride)
        self.body = nn.Sequential(
            nn.Conv2d(given, made, 3, stride, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU(),
            nn.Conv2d(made, made, 3, 1, 1, bias=False), nn.BatchNorm2d(made),
        )  # fmt: skip
        if not skip_first:
            self.skip = _skip(given, made, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.skip(x) + self.body(x))


def _skip(given: int, made: int, stride: int) -> nn.Module:
    if stride == 1 and given == made:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(given, made, 1, stride, bias=False), nn.BatchNorm2d(made))


class Chain(nn.Module):
    """A ResNet whose blocks stand in one chain."""

    def __init__(self, skip_first: bool = False) -> None:
        super().__init__()
        stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.begin = nn.Sequential(*stem)
        sizes = ((64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 512, 2))
        self.blocks = nn.Sequential(*(Residual(*size, skip_first) for size in sizes))
        self.classify = nn.Linear(512, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.blocks(self.begin(x)).mean((2, 3)))


def resnet() -> nn.Module:
    return Chain()


def resnet_skip_first() -> nn.Module:
    return Chain(skip_first=True)


def _timm_vit(**options: Any) -> nn.Module:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": 2, "num_heads": HEADS, "num_classes": 0}
    return timm.models.VisionTransformer(**{**sizes, "mlp_ratio": 2, **options})


def timm_dinov2() -> nn.Module:
    return _timm_vit(init_values=0.01, global_pool="")


def timm_dinov2_swiglu() -> nn.Module:
    packed = {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": nn.SiLU, "mlp_ratio": 128 / WIDTH}
    return _timm_vit(init_values=0.01, global_pool="", **packed)


def timm_clip() -> nn.Module:
    return _timm_vit(pre_norm=True, act_layer=timm.layers.QuickGELU)


def timm_siglip() -> nn.Module:
    return _timm_vit(class_token=False, global_pool="map", act_layer="gelu_tanh")


def timm_focalnet() -> nn.Module:
    return timm.models.FocalNet(num_classes=CLASSES, embed_dim=32, depths=(1, 1, 2, 1), focal_levels=(2, 2, 2, 2))


def timm_hiera() -> nn.Module:
    sizes = {"img_size": (224, 224), "embed_dim": 24, "stages": (1, 1, 2, 1), "num_heads": 1}
    return timm.models.Hiera(num_classes=CLASSES, **sizes)


def timm_ijepa() -> nn.Module:
    return _timm_vit(class_token=False, global_pool="avg", fc_norm=False, num_classes=CLASSES)


def timm_dinov3() -> nn.Module:
    from timm.models.eva import Eva

    turned = {"rope_type": "dinov3", "rope_temperature": 100.0, "rope_rotate_half": True, "use_rot_pos_emb": True}
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": 2, "num_heads": HEADS, "mlp_ratio": 2}
    plain = {"qkv_bias": False, "use_abs_pos_emb": False, "num_reg_tokens": 4, "use_fc_norm": False}
    return Eva(num_classes=0, global_pool="", init_values=0.1, **sizes, **turned, **plain)


def timm_sam() -> nn.Module:
    sizes = {"img_size": 64, "patch_size": 8, "embed_dim": WIDTH, "depth": 2, "num_heads": HEADS, "mlp_ratio": 2}
    windows = {"window_size": 4, "global_attn_indexes": (1,), "use_rel_pos": True, "neck_chans": 24}
    return timm.models.VisionTransformerSAM(num_classes=0, global_pool="", **sizes, **windows)
