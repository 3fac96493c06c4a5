"""Small networks of libraries that are built around another network: segmenters, detectors and estimators of depth."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from hf import CLASSES, VIT, _make, hf
from images import tv, tv_resnet

STAGES = ["stage1", "stage2", "stage3", "stage4"]
CONVNEXT = {"hidden_sizes": [16, 32, 64, 128], "depths": [2, 2, 3, 2]}
DEEP_VIT = {**VIT, "num_hidden_layers": 4}


def fcn() -> nn.Module:
    backbone = tv._utils.IntermediateLayerGetter(tv_resnet(), return_layers={"layer4": "out"})
    return tv.segmentation.FCN(backbone, tv.segmentation.fcn.FCNHead(512, 5))


def retinanet() -> nn.Module:
    pyramid = tv.detection.backbone_utils.BackboneWithFPN(
        tv_resnet(), {f"layer{i}": str(i) for i in (2, 3, 4)}, [128, 256, 512], 16
    )
    return tv.detection.RetinaNet(pyramid, num_classes=7, image_mean=[0.0] * 3, image_std=[1.0] * 3)


def convnext() -> nn.Module:
    return _make("ConvNextForImageClassification", "ConvNextConfig", **CONVNEXT, num_labels=CLASSES)


def upernet() -> nn.Module:
    backbone = hf.ConvNextConfig(**CONVNEXT, out_features=STAGES)
    sizes = {"hidden_size": 32, "pool_scales": [1, 2, 3], "auxiliary_channels": 16, "auxiliary_in_channels": 64}
    return _make("UperNetForSemanticSegmentation", "UperNetConfig", backbone_config=backbone, num_labels=5, **sizes)


def vit() -> nn.Module:
    return _make("ViTForImageClassification", "ViTConfig", **DEEP_VIT, num_labels=CLASSES)


def dpt() -> nn.Module:
    sizes = {"backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 16, 24, 32], "fusion_hidden_size": 16}
    plain = {"is_hybrid": False, "backbone_config": None}
    return _make("DPTForSemanticSegmentation", "DPTConfig", **DEEP_VIT, **sizes, **plain, num_labels=5)


def maskformer() -> nn.Module:
    backbone = hf.ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[1, 2, 1, 1],
        layer_type="basic",
        out_features=STAGES,
    )
    decoder = hf.DetrConfig(
        d_model=32, decoder_layers=2, encoder_layers=1, decoder_ffn_dim=48, decoder_attention_heads=4, num_queries=6
    )
    sizes = {"fpn_feature_size": 32, "mask_feature_size": 32, "num_labels": 5}
    return _make(
        "MaskFormerForInstanceSegmentation",
        "MaskFormerConfig",
        backbone_config=backbone,
        decoder_config=decoder,
        **sizes,
    )
