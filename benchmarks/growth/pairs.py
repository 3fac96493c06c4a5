"""Sources and targets that differ in width, depth, kernel, heads or groups, from timm and transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import transformers
from torch import nn

from tli_cli.catalogue.libraries import import_timm

timm = import_timm()

Build = Callable[[], nn.Module]
Settings = dict[str, Any]
Family = tuple[str, Callable[..., nn.Module], Settings, tuple[int, ...], dict[str, Settings]]
IMAGE, SMALL, TOKENS = (1, 3, 64, 64), (1, 3, 32, 32), (1, 9)


def _changed(make: Callable[..., nn.Module], base: dict[str, Any], **changes: Any) -> Build:
    return lambda: make(**{**base, **changes})


def _text(model: str, config: str, base: dict[str, Any], **changes: Any) -> Build:
    settings = {
        "vocab_size": 64,
        "attn_implementation": "eager",
        "experts_implementation": "batched_mm",
        **base,
        **changes,
    }
    return lambda: getattr(transformers, model)(getattr(transformers, config)(**settings))


def pairs() -> Iterator[tuple[str, Build, Build, tuple[int, ...]]]:
    """Yield (name, source, target, input shape)."""
    families: list[Family] = [
        ("ViT", timm.models.VisionTransformer,
         {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 10}, SMALL,
         {"twice as wide": {"embed_dim": 96, "num_heads": 8}, "heads twice as wide": {"embed_dim": 96},
          "1.5 times as wide": {"embed_dim": 72, "num_heads": 6}, "wider MLP": {"mlp_ratio": 6},
          "deeper": {"depth": 6}}),
        ("ResNet", timm.models.resnet.ResNet,
         {"block": timm.models.resnet.BasicBlock, "layers": (1, 1, 1, 1), "channels": (16, 32, 48, 64),
          "num_classes": 10}, IMAGE,
         {"twice as wide": {"channels": (32, 64, 96, 128)}, "1.3 times as wide": {"channels": (20, 40, 64, 96)},
          "deeper": {"layers": (2, 3, 2, 2)},
          "wider and deeper": {"layers": (2, 3, 2, 2), "channels": (20, 40, 64, 96)}}),
        ("ConvNeXt", timm.models.ConvNeXt, {"depths": (1, 1, 2, 1), "dims": (16, 32, 48, 64), "num_classes": 10}, IMAGE,
         {"twice as wide": {"dims": (32, 64, 96, 128)}, "1.5 times as wide": {"dims": (24, 48, 72, 96)},
          "deeper": {"depths": (2, 1, 4, 2)}, "kernel 9": {"kernel_sizes": 9}}),
        ("MLP-Mixer", timm.models.MlpMixer,
         {"img_size": 32, "patch_size": 8, "embed_dim": 48, "num_blocks": 3, "num_classes": 10}, SMALL,
         {"twice as wide": {"embed_dim": 96}, "wider token MLP": {"mlp_ratio": (0.75, 4.0)},
          "1.33 times as wide": {"embed_dim": 64}, "deeper": {"num_blocks": 5}}),
        ("DenseNet", timm.models.DenseNet, {"growth_rate": 8, "block_config": (2, 2), "num_classes": 10}, IMAGE,
         {"twice the growth": {"growth_rate": 16}, "deeper": {"block_config": (3, 4)}}),
    ]  # fmt: skip
    for family, make, base, shape, changes in families:
        for name, change in changes.items():
            yield f"{family}, {name}", _changed(make, base), _changed(make, base, **change), shape
    for source, target in (("resnext50_32x4d", "wider groups"), ("mobilenetv2_050", "mobilenetv2_100"),
                           ("efficientnet_b0", "efficientnet_b1"), ("resnet18", "resnet34")):  # fmt: skip
        options = {"base_width": 8} if target == "wider groups" else {}
        model = source if options else target
        yield f"{source} to {target}", _timm(source), _timm(model, **options), IMAGE
    yield from _text_pairs()


def _timm(name: str, **options: Any) -> Build:
    return lambda: timm.create_model(name, num_classes=10, **options)


def _text_pairs() -> Iterator[tuple[str, Build, Build, tuple[int, ...]]]:
    llama = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 8}  # fmt: skip
    gpt = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}
    for name, change in (
        ("twice as wide", {"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 4}),
        ("1.5 times as wide", {"hidden_size": 48}),
        ("more queries to a key", {"num_attention_heads": 8}),
        ("wider MLP", {"intermediate_size": 96}),
        ("deeper", {"num_hidden_layers": 4}),
        ("heads twice as wide", {"head_dim": 16}),
        ("heads 1.5 times as wide", {"head_dim": 12}),
        ("a key to each query", {"num_key_value_heads": 4}),
    ):
        make = ("LlamaForCausalLM", "LlamaConfig", llama)
        yield f"Llama, {name}", _text(*make), _text(*make, **change), TOKENS
    for name, change in (
        ("twice as wide", {"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 4}),
        ("1.5 times as wide", {"hidden_size": 48}),
        ("deeper", {"num_hidden_layers": 4}),
    ):
        make = ("Gemma2ForCausalLM", "Gemma2Config", llama)
        yield f"Gemma 2, {name}", _text(*make), _text(*make, **change), TOKENS
    mixture = {**llama, "num_local_experts": 4}
    for name, change in (
        ("twice as wide", {"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 4}),
        ("wider experts", {"intermediate_size": 96}),
        ("deeper", {"num_hidden_layers": 4}),
    ):
        make = ("MixtralForCausalLM", "MixtralConfig", mixture)
        yield f"Mixtral, {name}", _text(*make), _text(*make, **change), TOKENS
    for name, change in (
        ("twice as wide", {"n_embd": 64, "n_head": 8}),
        ("1.5 times as wide", {"n_embd": 48, "n_head": 6}),
        ("deeper", {"n_layer": 5}),
    ):
        make = ("GPT2LMHeadModel", "GPT2Config", gpt)
        yield f"GPT-2, {name}", _text(*make), _text(*make, **change), TOKENS


def sample(shape: tuple[int, ...]) -> torch.Tensor:
    """Return one input of `shape`: token indices, or an image."""
    return torch.randint(0, 60, shape) if len(shape) == 2 else torch.randn(*shape)
