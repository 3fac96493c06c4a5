"""Small models whose published files have names and layouts of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from hf import CLASSES, _make
from hf_more import _giving
from images import timm, tv

STAGES: dict[str, Any] = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64],
                          "num_attention_heads": [1, 2, 3, 4], "num_labels": CLASSES}  # fmt: skip


def repvgg() -> nn.Module:
    block = timm.models.byobnet.ByoBlockCfg
    blocks = tuple(block(type="rep", d=2, c=width, s=2, gs=0) for width in (16, 24))
    config = timm.models.byobnet.ByoModelCfg(blocks=blocks, stem_type="rep", stem_chs=16)
    return timm.models.byobnet.ByobNet(config, num_classes=CLASSES)


def seresnet() -> nn.Module:
    block, se = timm.models.resnet.Bottleneck, {"attn_layer": "se"}
    return timm.models.ResNet(block, (1, 2, 1, 1), num_classes=CLASSES, block_args=se)


def mixer() -> nn.Module:
    return timm.models.MlpMixer(img_size=32, patch_size=8, num_blocks=2, embed_dim=48, num_classes=CLASSES)


def poolformer() -> nn.Module:
    return timm.models.MetaFormer(
        depths=(1, 2, 1, 1), dims=(16, 24, 32, 48), token_mixers=timm.models.metaformer.Pooling,
        mlp_act=nn.GELU, norm_layers=timm.models.metaformer.GroupNorm1, layer_scale_init_values=0.1,
        res_scale_init_values=None, use_mlp_head=False, num_classes=CLASSES, mlp_bias=True, downsample_norm=None,
    )  # fmt: skip


def bit() -> nn.Module:
    layers = timm.layers
    return timm.models.ResNetV2(
        (1, 2, 1, 1), num_classes=CLASSES, stem_type="fixed", norm_layer=layers.GroupNormAct,
        conv_layer=layers.StdConv2d,
    )  # fmt: skip


def mobilenet_v1() -> nn.Module:
    return timm.create_model("mobilenetv1_100", num_classes=CLASSES)


def mobilevit() -> nn.Module:
    return timm.create_model("mobilevit_xxs", num_classes=CLASSES)


def pvt() -> nn.Module:
    return _make("PvtForImageClassification", "PvtConfig", image_size=64, **STAGES)


def segformer() -> nn.Module:
    return _make("SegformerForImageClassification", "SegformerConfig", **STAGES)


def vgg() -> nn.Module:
    model = tv.VGG(tv.vgg.make_layers([8, 8, "M", 16, "M", 16, 16, "M"], batch_norm=False), init_weights=False)
    sizes = (16 * 7 * 7, 64, 64, CLASSES)
    for place, before, after in zip((0, 3, 6), sizes[:-1], sizes[1:], strict=True):
        model.classifier[place] = nn.Linear(before, after)
    return model


def shufflenet() -> nn.Module:
    return tv.ShuffleNetV2([2, 3, 2], [24, 48, 96, 192, 128], num_classes=CLASSES)


def squeezenet() -> nn.Module:
    return tv.squeezenet1_1(num_classes=CLASSES)


def rwkv() -> nn.Module:
    sizes = {"vocab_size": 61, "hidden_size": 48, "num_hidden_layers": 2, "context_length": 32}
    return _giving(_make("RwkvForCausalLM", "RwkvConfig", **sizes), "logits")


def mamba() -> nn.Module:
    sizes = {"vocab_size": 61, "hidden_size": 48, "num_hidden_layers": 2, "state_size": 4}
    return _giving(_make("MambaForCausalLM", "MambaConfig", **sizes, tie_word_embeddings=False), "logits")


def marian() -> nn.Module:
    sizes = {"vocab_size": 61, "d_model": 48, "max_position_embeddings": 32, "pad_token_id": 0, "eos_token_id": 1,
             "decoder_start_token_id": 0, "scale_embedding": True, "activation_function": "relu"}  # fmt: skip
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 96}
    return _giving(_make("MarianMTModel", "MarianConfig", **sizes), "logits", "input_ids", "decoder_input_ids")


def detr() -> nn.Module:
    """Return DETR's transformer above a small ResNet."""
    import transformers

    sizes: dict[str, Any] = {"d_model": 32, "num_labels": 5, "num_queries": 6}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 64}
    backbone = transformers.ResNetConfig(embedding_size=64, hidden_sizes=[256, 512, 1024, 2048], depths=[1, 1, 1, 1],
                                         out_features=["stage4"])  # fmt: skip
    given = {"use_timm_backbone": False, "backbone": None, "backbone_config": backbone}
    return _giving(_make("DetrForObjectDetection", "DetrConfig", **given, **sizes), "logits")
