"""One network under two sets of names, with one thing changed: what the order of names hides is paired by towers, by
shapes and by roles, and never with a layer of the other tower."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tli_cli import match
from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.matching.dp import match_dp

Shapes = dict[str, tuple[int, ...]]


def layers(prefix: str, names: Mapping[str, str], width: int, hidden: int, depth: int) -> Shapes:
    """Return the weights of transformer blocks, of which `names` say how they are called here."""
    shapes = {"qkv": (3 * width, width), "o": (width, width), "up": (hidden, width), "down": (width, hidden),
              "first": (width,), "second": (width,)}  # fmt: skip
    if "q" in names:
        shapes |= dict.fromkeys("qkv", (width, width))
    return {f"{prefix}.{i}.{names[k]}": shapes[k] for i in range(depth) for k in shapes if k in names}


LIBRARY = {"q": "self_attn.q_proj.weight", "k": "self_attn.k_proj.weight", "v": "self_attn.v_proj.weight",
           "o": "self_attn.out_proj.weight", "first": "layer_norm1.weight", "second": "layer_norm2.weight",
           "up": "mlp.fc1.weight", "down": "mlp.fc2.weight"}  # fmt: skip
AUTHORS = {"qkv": "attn.in_proj_weight", "o": "attn.out_proj.weight", "first": "ln_1.weight", "second": "ln_2.weight",
           "up": "mlp.c_fc.weight", "down": "mlp.c_proj.weight"}  # fmt: skip


def towers_of_library(tokens: int = 30, hidden: int = 32, depth: int = 2) -> Shapes:
    return {
        "text_model.embeddings.position_embedding.weight": (10, 16),
        "text_model.embeddings.token_embedding.weight": (tokens, 16),
        **layers("text_model.encoder.layers", LIBRARY, 16, hidden, depth),
        "text_model.final_layer_norm.weight": (16,),
        "text_projection.weight": (12, 16),
        "vision_model.embeddings.class_embedding": (16,),
        "vision_model.embeddings.patch_embedding.weight": (16, 3, 8, 8),
        "vision_model.embeddings.position_embedding.weight": (17, 16),
        **layers("vision_model.encoder.layers", LIBRARY, 16, 32, 2),
        "vision_model.pre_layrnorm.weight": (16,),
        "vision_model.post_layernorm.weight": (16,),
        "visual_projection.weight": (12, 16),
    }


def towers_of_authors(tokens: int = 30, hidden: int = 32, depth: int = 2) -> Shapes:
    return {
        "positional_embedding": (10, 16),
        "token_embedding.weight": (tokens, 16),
        **layers("transformer.resblocks", AUTHORS, 16, hidden, depth),
        "ln_final.weight": (16,),
        "text_projection": (16, 12),
        "visual.class_embedding": (16,),
        "visual.conv1.weight": (16, 3, 8, 8),
        "visual.positional_embedding": (17, 16),
        **layers("visual.transformer.resblocks", AUTHORS, 16, 32, 2),
        "visual.ln_pre.weight": (16,),
        "visual.ln_post.weight": (16,),
        "visual.proj": (16, 12),
    }


def specs(shapes: Shapes) -> list[TensorSpec]:
    return [TensorSpec(name, shape) for name, shape in shapes.items()]


@pytest.mark.parametrize("change", [{}, {"tokens": 40}, {"hidden": 48}, {"depth": 3}], ids=str)
@pytest.mark.parametrize("back", [False, True])
def test_two_towers_take_each_its_own_layers_under_other_names(change: dict[str, int], back: bool) -> None:
    wanted, given = (towers_of_library, towers_of_authors)[:: -1 if back else 1]
    source, target = (
        describe_names(sorted(specs(shapes), key=lambda s: s.name)) for shapes in (given(), wanted(**change))
    )
    matching = match_dp(source, target)
    crossing = [p for p in matching.pairs if ("vis" in p.target.path) != ("vis" in p.source.path)]
    assert not crossing and len(matching.pairs) == len(matching.targets)


BLOCK = {"q": "self_attn.q_proj.weight", "k": "self_attn.k_proj.weight", "v": "self_attn.v_proj.weight",
         "o": "self_attn.out_proj.weight", "first": "self_attn_layer_norm.weight", "up": "fc1.weight",
         "down": "fc2.weight", "second": "final_layer_norm.weight"}  # fmt: skip
DEFINED = {"q": "attention.q_proj.weight", "k": "attention.k_proj.weight", "v": "attention.v_proj.weight",
           "o": "attention.out_proj.weight", "first": "layer_norm.weight", "up": "feed_forward.in_dense.weight",
           "down": "feed_forward.output_dense.weight", "second": "final_layer_norm.weight"}  # fmt: skip


@pytest.mark.parametrize("hidden", [32, 48])
def test_what_stands_before_an_encoder_by_its_widths_is_paired_whatever_it_is_called(hidden: int) -> None:
    given = {
        **{f"net.feature_extractor.conv_layers.{i}.0.weight": (8, 8 if i else 1, 3) for i in range(3)},
        "net.encoder.pos_conv.0.weight": (16, 4, 8),
        **layers("net.encoder.layers", BLOCK, 16, 32, 2),
        "net.encoder.layer_norm.weight": (16,),
        "net.post_extract_proj.weight": (16, 8),
        "net.layer_norm.weight": (8,),
        "proj.weight": (20, 16),
    }
    wanted = {
        **{f"model.feature_extractor.conv_layers.{i}.conv.weight": (8, 8 if i else 1, 3) for i in range(3)},
        "model.feature_projection.layer_norm.weight": (8,),
        "model.feature_projection.projection.weight": (16, 8),
        "model.encoder.pos_conv_embed.conv.weight": (16, 4, 8),
        "model.encoder.layer_norm.weight": (16,),
        **layers("model.encoder.layers", DEFINED, 16, hidden, 2),
        "lm_head.weight": (20, 16),
    }
    source = describe_names(sorted(specs(given), key=lambda spec: spec.name))
    target = describe_names(specs(wanted), order_from="definition")
    found = {pair.target.path: pair.source.path for pair in match_dp(source, target).pairs}
    assert len(found) == len(wanted)
    assert found["model.feature_projection.projection"] == "net.post_extract_proj"
    assert found["model.feature_projection.layer_norm"] == "net.layer_norm"
    assert found["model.encoder.layers.0.layer_norm"] == "net.encoder.layers.0.self_attn_layer_norm"
    assert found["model.encoder.layers.0.final_layer_norm"] == "net.encoder.layers.0.final_layer_norm"


def test_an_added_block_of_a_bare_decoder_ends_its_attention_to_the_encoder_as_well(tmp_path: Path) -> None:
    def decoder(depth: int) -> dict[str, torch.Tensor]:
        block = {
            f"{a}.{part}.weight": (8, 8) for a in ("attn", "cross_attn") for part in ("query", "key", "value", "out")
        }
        block |= {"mlp.0.weight": (16, 8), "mlp.2.weight": (8, 16)}
        block |= {f"{norm}.weight": (8,) for norm in ("attn_ln", "cross_attn_ln", "mlp_ln")}
        named = {
            f"decoder.blocks.{i}.{name}": torch.randn(shape) for i in range(depth) for name, shape in block.items()
        }
        return {"decoder.token_embedding.weight": torch.randn(30, 8), **named, "decoder.ln.weight": torch.randn(8)}

    files = [tmp_path / f"{depth}.safetensors" for depth in (2, 3)]
    for depth, file in zip((2, 3), files, strict=True):
        save_file(decoder(depth), file)
    plan = match(*map(str, files))
    zeros = {step.target.split(".", 3)[3] for step in plan.steps if step.initial == "zeros" and step.action == "keep"}
    assert zeros == {"attn.out.weight", "cross_attn.out.weight", "mlp.2.weight"}


@pytest.mark.parametrize(
    ("beside", "shape", "rule"), [("token_embedding.weight", (30, 8), "rows"), ("conv.weight", (8, 8, 3), "grid")]
)
def test_positions_beside_a_table_of_tokens_go_row_by_row(
    beside: str, shape: tuple[int, ...], rule: str, tmp_path: Path
) -> None:
    def file(places: int) -> str:
        shapes = {"encoder.conv.weight": (8, 3, 3), f"decoder.{beside}": shape}
        shapes |= {f"decoder.blocks.0.attn.{part}.weight": (8, 8) for part in "qkvo"}
        shapes |= {"decoder.positional_embedding": (places, 8), "decoder.norm.weight": (8,)}
        save_file(
            {name: torch.randn(size) for name, size in shapes.items()}, path := tmp_path / f"{places}.safetensors"
        )
        return str(path)

    plan = match(file(10), file(14))
    assert rule in plan.by_target["decoder.positional_embedding"].reason
