"""Small models of transformers, built from configurations with random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tli_cli.catalogue.libraries import import_torchvision

import_torchvision()
import transformers as hf  # noqa: E402

CLASSES = 10
VIT = {"image_size": 32, "patch_size": 8, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
       "intermediate_size": 96}  # fmt: skip
TEXT = {"vocab_size": 61, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}


def _make(model: str, config: str, **options: Any) -> nn.Module:
    made = getattr(hf, config)(**options)
    made._attn_implementation = "eager"
    built: nn.Module = getattr(hf, model)(made)
    return built


def resnet() -> nn.Module:
    return _make(
        "ResNetForImageClassification", "ResNetConfig", embedding_size=64, hidden_sizes=[64, 128, 256, 512],
        depths=[1, 2, 1, 1], layer_type="basic", num_labels=CLASSES,
    )  # fmt: skip


def bottleneck() -> nn.Module:
    return _make(
        "ResNetForImageClassification", "ResNetConfig", embedding_size=64, hidden_sizes=[256, 512, 1024, 2048],
        depths=[1, 2, 1, 1], layer_type="bottleneck", num_labels=CLASSES,
    )  # fmt: skip


def vit(**options: Any) -> nn.Module:
    return _make("ViTForImageClassification", "ViTConfig", **{**VIT, "num_labels": CLASSES, **options})


def deit() -> nn.Module:
    return _make("DeiTForImageClassificationWithTeacher", "DeiTConfig", **VIT, num_labels=CLASSES)


def beit(**options: Any) -> nn.Module:
    given = {**VIT, "num_labels": CLASSES, "use_relative_position_bias": True, "layer_scale_init_value": 0.1, **options}
    return _make("BeitForImageClassification", "BeitConfig", **given)


def swin() -> nn.Module:
    return _make(
        "SwinForImageClassification", "SwinConfig", image_size=64, patch_size=4, embed_dim=24, depths=[2, 2],
        num_heads=[2, 4], window_size=4, num_labels=CLASSES,
    )  # fmt: skip


def swin_v2() -> nn.Module:
    return _make(
        "Swinv2ForImageClassification", "Swinv2Config", image_size=64, patch_size=4, embed_dim=24, depths=[2, 2],
        num_heads=[2, 4], window_size=4, num_labels=CLASSES,
    )  # fmt: skip


def convnext() -> nn.Module:
    return _make(
        "ConvNextForImageClassification", "ConvNextConfig", hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 1, 1],
        num_labels=CLASSES,
    )  # fmt: skip


def convnext_v2() -> nn.Module:
    return _make(
        "ConvNextV2ForImageClassification", "ConvNextV2Config", hidden_sizes=[16, 32, 48, 64],
        depths=[1, 2, 1, 1], num_labels=CLASSES,
    )  # fmt: skip


def mobilenet_v2() -> nn.Module:
    return _make(
        "MobileNetV2ForImageClassification", "MobileNetV2Config", depth_multiplier=0.5, tf_padding=False,
        finegrained_output=True, num_labels=CLASSES,
    )  # fmt: skip


def regnet() -> nn.Module:
    return _make(
        "RegNetForImageClassification", "RegNetConfig", embedding_size=32, hidden_sizes=[16, 32, 64, 128],
        depths=[1, 1, 2, 1], groups_width=8, layer_type="y", num_labels=CLASSES,
    )  # fmt: skip


def bert(**options: Any) -> nn.Module:
    return _make("BertModel", "BertConfig", **{**TEXT, "max_position_embeddings": 32, **options})


def roberta() -> nn.Module:
    return _make("RobertaModel", "RobertaConfig", **TEXT, max_position_embeddings=34)


def llama(rope_theta: float = 1e4, **options: Any) -> nn.Module:
    given = {**TEXT, "num_key_value_heads": 2, "max_position_embeddings": 32, **options}
    return _make("LlamaForCausalLM", "LlamaConfig", rope_parameters=_turns(rope_theta), **given)


def _turns(theta: float) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta}


def helium() -> nn.Module:
    """Return a LLaMA whose heads turn neighbouring channels, under the same names."""
    given = {**TEXT, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 32}
    return _make("HeliumForCausalLM", "HeliumConfig", rope_parameters=_turns(1e4), **given)


def mistral() -> nn.Module:
    return _make("MistralForCausalLM", "MistralConfig", **TEXT, num_key_value_heads=2, max_position_embeddings=32)


def gemma(**options: Any) -> nn.Module:
    given = {**TEXT, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 32, **options}
    return _make("GemmaForCausalLM", "GemmaConfig", **given)


def mixtral(rope_theta: float = 1e6, **options: Any) -> nn.Module:
    given = {**TEXT, "num_key_value_heads": 2, "num_local_experts": 3, "max_position_embeddings": 32, **options}
    run = {"rope_parameters": _turns(rope_theta), "experts_implementation": "eager"}
    return _make("MixtralForCausalLM", "MixtralConfig", **run, **given)


def granite(**options: Any) -> nn.Module:
    given = {**TEXT, "num_key_value_heads": 2, "max_position_embeddings": 32, **options}
    return _make("GraniteForCausalLM", "GraniteConfig", **given)


def phi3() -> nn.Module:
    given = {**TEXT, "num_key_value_heads": 2, "max_position_embeddings": 32, "pad_token_id": 0}
    return _make("Phi3ForCausalLM", "Phi3Config", **given)


def gpt2(**options: Any) -> nn.Module:
    given = {"vocab_size": 61, "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 32, **options}
    return _make("GPT2LMHeadModel", "GPT2Config", **given)


def gpt_neox() -> nn.Module:
    """Return a GPT-NeoX with heads of 12 channels; an odd number of rotated ones is made even."""
    given = {**TEXT, "max_position_embeddings": 32, "rotary_pct": 0.17}
    return _make("GPTNeoXForCausalLM", "GPTNeoXConfig", **given)


def bloom() -> nn.Module:
    return _make("BloomForCausalLM", "BloomConfig", vocab_size=61, hidden_size=48, n_layer=2, n_head=4)


torch.set_num_threads(1)
