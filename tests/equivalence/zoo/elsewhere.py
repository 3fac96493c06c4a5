"""Small models of transformers that other projects' files hold under names of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from hf import CLASSES, TEXT, VIT, _make
from hf_more import _giving

WAVES = {"conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_conv_pos_embeddings": 9,
         "num_conv_pos_embedding_groups": 4, "num_feat_extract_layers": 2}  # fmt: skip
SPEECH = {key: value for key, value in TEXT.items() if key != "vocab_size"}


def whisper() -> nn.Module:
    sizes: dict[str, Any] = {"vocab_size": 61, "d_model": 48, "num_mel_bins": 16, "max_source_positions": 20,
                             "max_target_positions": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1,
                             "decoder_start_token_id": 1}  # fmt: skip
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 96}
    model = _make("WhisperModel", "WhisperConfig", **sizes)
    base = type(model)

    def forward(self: nn.Module, sample: torch.Tensor) -> Any:
        waves = torch.sin(sample.double()[:, None, :1] * torch.arange(1, 641).reshape(16, 40) / 7)
        given = waves.to(next(self.parameters()).dtype)
        return base.forward(self, input_features=given, decoder_input_ids=sample).last_hidden_state

    model.__class__ = type(base.__name__, (base,), {"forward": forward})
    return model


def wav2vec2() -> nn.Module:
    return _giving(_make("Wav2Vec2Model", "Wav2Vec2Config", **SPEECH, **WAVES, mask_time_prob=0.0), "last_hidden_state")


def hubert() -> nn.Module:
    return _giving(_make("HubertModel", "HubertConfig", **SPEECH, **WAVES, mask_time_prob=0.0), "last_hidden_state")


def wavlm() -> nn.Module:
    return _giving(_make("WavLMModel", "WavLMConfig", **SPEECH, **WAVES, mask_time_prob=0.0), "last_hidden_state")


def esm() -> nn.Module:
    given = {**TEXT, "max_position_embeddings": 40, "pad_token_id": 1, "mask_token_id": 60,
             "position_embedding_type": "rotary"}  # fmt: skip
    return _giving(_make("EsmForMaskedLM", "EsmConfig", **given), "logits")


def t5() -> nn.Module:
    sizes = {"vocab_size": 61, "d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4,
             "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}  # fmt: skip
    return _giving(_make("T5ForConditionalGeneration", "T5Config", **sizes), "logits", "input_ids", "decoder_input_ids")


def falcon() -> nn.Module:
    sizes = {"vocab_size": 61, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return _giving(_make("FalconForCausalLM", "FalconConfig", **sizes, multi_query=True), "logits")


def sam() -> nn.Module:
    sizes = {"hidden_size": 48, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
             "image_size": 64, "patch_size": 8, "window_size": 4, "global_attn_indexes": [1],
             "mlp_dim": 96}  # fmt: skip
    return _giving(_make("SamVisionModel", "SamVisionConfig", **sizes), "last_hidden_state")


def dinov3() -> nn.Module:
    given = {key: value for key, value in VIT.items() if key != "image_size"}
    return _giving(_make("DINOv3ViTModel", "DINOv3ViTConfig", **given, num_register_tokens=2), "last_hidden_state")


def ijepa() -> nn.Module:
    return _giving(_make("IJepaModel", "IJepaConfig", **VIT, add_pooling_layer=False), "last_hidden_state")


def vit_tokens() -> nn.Module:
    return _make("ViTForImageClassification", "ViTConfig", **VIT, num_labels=CLASSES)
