"""Small image models of timm and torchvision that compute the same functions, pair by pair."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from tli_cli.catalogue.libraries import import_timm, import_torchvision

timm = import_timm()
torchvision = import_torchvision()
tv = torchvision.models
CLASSES = 10
Model = nn.Module


def tv_resnet(**options: Any) -> Model:
    return tv.ResNet(tv.resnet.BasicBlock, [1, 2, 1, 1], num_classes=CLASSES, **options)


def timm_resnet(**options: Any) -> Model:
    return timm.models.ResNet(timm.models.resnet.BasicBlock, (1, 2, 1, 1), **{"num_classes": CLASSES, **options})


def tv_bottleneck(**options: Any) -> Model:
    return tv.ResNet(tv.resnet.Bottleneck, [1, 2, 1, 1], num_classes=CLASSES, **options)


def timm_bottleneck(**options: Any) -> Model:
    return timm.models.ResNet(timm.models.resnet.Bottleneck, (1, 2, 1, 1), num_classes=CLASSES, **options)


def tv_resnext() -> Model:
    return tv_bottleneck(groups=8, width_per_group=8)


def timm_resnext() -> Model:
    return timm_bottleneck(cardinality=8, base_width=8)


def tv_wide() -> Model:
    return tv_bottleneck(width_per_group=96)


def timm_wide() -> Model:
    return timm_bottleneck(base_width=96)


def tv_densenet() -> Model:
    return tv.DenseNet(growth_rate=8, block_config=(2, 3), num_init_features=16, num_classes=CLASSES)


def timm_densenet(**options: Any) -> Model:
    return timm.models.DenseNet(growth_rate=8, block_config=(2, 3), num_classes=CLASSES, **options)


def tv_mobilenet_v2() -> Model:
    return tv.MobileNetV2(width_mult=0.5, num_classes=CLASSES)


def timm_mobilenet_v2() -> Model:
    return timm.create_model("mobilenetv2_050", num_classes=CLASSES)


def tv_mobilenet_v3() -> Model:
    return tv.mobilenet_v3_small(num_classes=CLASSES)


def timm_mobilenet_v3() -> Model:
    return timm.create_model("mobilenetv3_small_100", num_classes=CLASSES)


def tv_mnasnet() -> Model:
    return tv.mnasnet0_5(num_classes=CLASSES)


def timm_mnasnet() -> Model:
    return timm.create_model("mnasnet_050", num_classes=CLASSES)


def tv_efficientnet() -> Model:
    return tv.efficientnet_b0(num_classes=CLASSES)


def timm_efficientnet() -> Model:
    return timm.create_model("efficientnet_b0", num_classes=CLASSES)


def tv_regnet() -> Model:
    params = tv.regnet.BlockParams.from_init_params(5, w_0=16, w_a=24.0, w_m=2.0, group_width=8, se_ratio=0.25)
    return tv.RegNet(params, num_classes=CLASSES, norm_layer=nn.BatchNorm2d)


def timm_regnet() -> Model:
    config = timm.models.regnet.RegNetCfg(depth=5, w0=16, wa=24.0, wm=2.0, group_size=8, se_ratio=0.25)
    return timm.models.RegNet(config, num_classes=CLASSES)


def tv_convnext() -> Model:
    block = tv.convnext.CNBlockConfig
    return tv.ConvNeXt([block(16, 32, 1), block(32, 48, 2), block(48, 64, 1), block(64, None, 1)], num_classes=CLASSES)


def timm_convnext(**options: Any) -> Model:
    given: dict[str, Any] = {"depths": (1, 2, 1, 1), "dims": (16, 32, 48, 64), "num_classes": CLASSES, **options}
    given["depths"] = tuple(int(depth) for depth in given["depths"])
    return timm.models.ConvNeXt(**given)


def tv_vit(**options: Any) -> Model:
    given: dict[str, Any] = {"image_size": 32, "patch_size": 8, "num_classes": CLASSES, **options}
    return tv.VisionTransformer(num_layers=2, num_heads=4, hidden_dim=48, mlp_dim=96, **given)


def timm_vit(**options: Any) -> Model:
    given: dict[str, Any] = {"img_size": 32, "patch_size": 8, "num_classes": CLASSES, "depth": 2, **options}
    return timm.models.VisionTransformer(embed_dim=48, num_heads=4, mlp_ratio=2, **given)


def timm_deit(**options: Any) -> Model:
    given: dict[str, Any] = {"img_size": 32, "patch_size": 8, "num_classes": CLASSES, **options}
    return timm.models.VisionTransformerDistilled(embed_dim=48, depth=2, num_heads=4, mlp_ratio=2, **given)


def timm_beit(**options: Any) -> Model:
    given: dict[str, Any] = {"img_size": 32, "patch_size": 8, "num_classes": CLASSES, **options}
    return timm.models.Beit(
        embed_dim=48, depth=2, num_heads=4, mlp_ratio=2, init_values=0.1, use_abs_pos_emb=False, use_rel_pos_bias=True,
        **given,
    )  # fmt: skip


def tv_swin() -> Model:
    return tv.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=CLASSES)


def timm_swin(**options: Any) -> Model:
    given: dict[str, Any] = {"img_size": 64, "window_size": 4, "depths": (2, 2), **options}
    return timm.models.SwinTransformer(patch_size=4, embed_dim=24, num_heads=(2, 4), num_classes=CLASSES, **given)


def timm_tnt(**options: Any) -> Model:
    sizes = {"embed_dim": 24, "inner_dim": 8, "depth": 1, "num_heads_inner": 2, "num_heads_outer": 2}
    return timm.models.TNT(patch_size=16, num_classes=CLASSES, **sizes, **options)


def tv_swin_v2() -> Model:
    block, merging = tv.swin_transformer.SwinTransformerBlockV2, tv.swin_transformer.PatchMergingV2
    return tv.SwinTransformer(
        [4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=CLASSES, block=block, downsample_layer=merging
    )


def timm_swin_v2() -> Model:
    return timm.models.SwinTransformerV2(
        img_size=64, window_size=4, patch_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4), num_classes=CLASSES
    )


def timm_convnext_v2(**options: Any) -> Model:
    return timm_convnext(use_grn=True, ls_init_value=None, **options)


def timm_mixer(**options: Any) -> Model:
    given: dict[str, Any] = {"img_size": 32, "patch_size": 8, "num_classes": CLASSES, **options}
    return timm.models.MlpMixer(embed_dim=48, num_blocks=2, **given)


def timm_maxvit(**options: Any) -> Model:
    given: dict[str, Any] = {"img_size": 64, "depths": (1, 2), "embed_dim": (32, 64), **options}
    return timm.create_model("maxvit_rmlp_pico_rw_256", num_classes=CLASSES, **given)


def tv_named(name: str) -> Model:
    extra = {"aux_logits": False, "init_weights": False} if name in ("inception_v3", "googlenet") else {}
    return tv.get_model(name, weights=None, num_classes=CLASSES, **extra)


def timm_named(name: str) -> Model:
    return timm.create_model(name, num_classes=CLASSES)


tv_resnet50, timm_resnet50 = partial(tv_named, "resnet50"), partial(timm_named, "resnet50")
torch.set_num_threads(1)
