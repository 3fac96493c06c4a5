"""More small models of transformers: those whose outputs take a choice, and those that timm holds under its names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from hf import CLASSES, TEXT, VIT, _make


def _giving(model: nn.Module, output: str, *inputs: str) -> nn.Module:
    """Return `model` with one of its outputs alone; a sample is given as each of `inputs`, or as the first argument."""
    base = type(model)

    def forward(self: nn.Module, sample: torch.Tensor) -> Any:
        given = base.forward(self, **dict.fromkeys(inputs, sample)) if inputs else base.forward(self, sample)
        return getattr(given, output)

    model.__class__ = type(base.__name__, (base,), {"forward": forward})
    return model


def _image(model: str, config: str, **options: Any) -> nn.Module:
    return _make(model, config, num_labels=CLASSES, **options)


def dinov2(swiglu: bool = False) -> nn.Module:
    width = {"mlp_ratio": 2, "use_swiglu_ffn": swiglu, "use_mask_token": False}
    given = {name: value for name, value in VIT.items() if name != "intermediate_size"}
    return _giving(_make("Dinov2Model", "Dinov2Config", **given, **width), "last_hidden_state")


def dinov2_swiglu() -> nn.Module:
    return dinov2(swiglu=True)


def clip() -> nn.Module:
    return _giving(_make("CLIPVisionModel", "CLIPVisionConfig", **VIT), "pooler_output")


def roberta() -> nn.Module:
    given = {**TEXT, "max_position_embeddings": 40, "pad_token_id": 1, "type_vocab_size": 1}
    return _giving(_make("RobertaForMaskedLM", "RobertaConfig", **given), "logits")


def siglip() -> nn.Module:
    return _giving(_make("SiglipVisionModel", "SiglipVisionConfig", **VIT), "pooler_output")


def levit() -> nn.Module:
    return _image("LevitForImageClassificationWithTeacher", "LevitConfig")


def pvt_v2() -> nn.Module:
    return _image("PvtV2ForImageClassification", "PvtV2Config", image_size=64)


def focalnet() -> nn.Module:
    return _image("FocalNetForImageClassification", "FocalNetConfig", image_size=64, embed_dim=32, depths=[1, 1, 2, 1])


def mobilevit() -> nn.Module:
    return _image("MobileViTForImageClassification", "MobileViTConfig", image_size=64)


def mobilevit_v2() -> nn.Module:
    return _image("MobileViTV2ForImageClassification", "MobileViTV2Config", image_size=64)


def hiera() -> nn.Module:
    return _image(
        "HieraForImageClassification", "HieraConfig", image_size=[224, 224], embed_dim=24, depths=[1, 1, 2, 1]
    )


def efficientnet() -> nn.Module:
    sizes = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280, "image_size": 64}
    return _image("EfficientNetForImageClassification", "EfficientNetConfig", **sizes)


def mobilenet_v1() -> nn.Module:
    return _image("MobileNetV1ForImageClassification", "MobileNetV1Config", tf_padding=False)


def _text(model: str, config: str, output: str = "logits", **options: Any) -> nn.Module:
    return _giving(_make(model, config, **{**TEXT, "max_position_embeddings": 32, **options}), output)


def bert() -> nn.Module:
    model = _text("BertModel", "BertConfig", "last_hidden_state")
    model.pooler = None
    return model


def electra() -> nn.Module:
    return _text("ElectraModel", "ElectraConfig", "last_hidden_state", embedding_size=48)


def distilbert() -> nn.Module:
    sizes = {"vocab_size": 61, "dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "max_position_embeddings": 32}
    return _giving(_make("DistilBertModel", "DistilBertConfig", **sizes), "last_hidden_state")


def qwen2() -> nn.Module:
    return _text("Qwen2ForCausalLM", "Qwen2Config", num_key_value_heads=2)


def qwen3() -> nn.Module:
    return _text("Qwen3ForCausalLM", "Qwen3Config", num_key_value_heads=2, head_dim=12)


def starcoder2() -> nn.Module:
    return _text("Starcoder2ForCausalLM", "Starcoder2Config", num_key_value_heads=2, tie_word_embeddings=False)


def ernie() -> nn.Module:
    """Return a model that is LLaMA but for the rotary embedding, which turns neighbours."""
    given = {"num_key_value_heads": 2, "use_bias": False, "tie_word_embeddings": False, "head_dim": 12}
    turns = {"rope_type": "default", "rope_theta": 1e4}
    return _text("Ernie4_5ForCausalLM", "Ernie4_5Config", rope_parameters=turns, **given)


def phi() -> nn.Module:
    return _text("PhiForCausalLM", "PhiConfig", partial_rotary_factor=1.0)


def opt() -> nn.Module:
    sizes = {"ffn_dim": 96, "word_embed_proj_dim": 48, "tie_word_embeddings": False}
    return _text("OPTForCausalLM", "OPTConfig", **sizes)


def bigcode() -> nn.Module:
    sizes = {"vocab_size": 61, "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 32, "multi_query": True}
    return _giving(_make("GPTBigCodeForCausalLM", "GPTBigCodeConfig", tie_word_embeddings=False, **sizes), "logits")


def t5_encoder(**options: Any) -> nn.Module:
    sizes = {"vocab_size": 61, "d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4}
    return _giving(_make("T5EncoderModel", "T5Config", **sizes, **options), "last_hidden_state")


def t5_gated() -> nn.Module:
    return t5_encoder(feed_forward_proj="gated-gelu")


def bart() -> nn.Module:
    sizes = {"vocab_size": 61, "d_model": 48, "max_position_embeddings": 32}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 96}
    return _giving(_make("BartModel", "BartConfig", **sizes), "last_hidden_state", "input_ids", "decoder_input_ids")


def ijepa() -> nn.Module:
    return _image("IJepaForImageClassification", "IJepaConfig", **VIT)


def vit_msn() -> nn.Module:
    return _image("ViTMSNForImageClassification", "ViTMSNConfig", **VIT)


def data2vec() -> nn.Module:
    relative = {"use_relative_position_bias": True, "layer_scale_init_value": 0.1}
    return _image("Data2VecVisionForImageClassification", "Data2VecVisionConfig", **VIT, **relative)


def dinov3() -> nn.Module:
    biases = dict.fromkeys(("query_bias", "key_bias", "value_bias"), False)
    return _giving(
        _make("DINOv3ViTModel", "DINOv3ViTConfig", num_register_tokens=4, **VIT, **biases), "last_hidden_state"
    )


def sam() -> nn.Module:
    sizes = {**VIT, "image_size": 64, "window_size": 4, "global_attn_indexes": [1], "output_channels": 24}
    given = {name: value for name, value in sizes.items() if name != "intermediate_size"}
    return _giving(_make("SamVisionModel", "SamVisionConfig", mlp_dim=96, **given), "last_hidden_state")
