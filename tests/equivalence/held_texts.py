"""Files of text models under names of other projects, written before the rules that they show and not looked at when
these were decided."""

from __future__ import annotations

import re

import torch

from tests.equivalence.conventions import Convention, Tensors, untied
from tests.equivalence.recasting import chained, fused, renamed


def _garden(tensors: Tensors) -> Tensors:
    """Return BERT as in tensorflow/models, `official/nlp/modeling`: heads have an axis of their own."""
    found = {}
    rules = (
        (r"^embeddings\.word_embeddings", "word_embeddings"), (r"^embeddings\.position_embeddings",
        "position_embedding"), (r"^embeddings\.token_type_embeddings", "type_embeddings"),
        (r"^embeddings\.LayerNorm", "embeddings/layer_norm"), (r"^encoder\.layer\.(\d)\.", r"transformer/layer_\1."),
        (r"attention\.self\.", "self_attention."), (r"attention\.output\.dense", "self_attention.attention_output"),
        (r"attention\.output\.LayerNorm", "self_attention_layer_norm"), (r"intermediate\.dense", "intermediate"),
        (r"(layer_\d)\.output\.dense", r"\1.output"), (r"(layer_\d)\.output\.LayerNorm", r"\1.output_layer_norm"),
        (r"^pooler\.dense", "pooler_transform"),
    )  # fmt: skip
    for name, tensor in renamed(*rules)(tensors).items():
        module, _, role = name.rpartition(".")
        last = module.rpartition(".")[2]
        value = tensor
        if last in ("query", "key", "value"):
            value = tensor.t().reshape(48, 4, 12) if role == "weight" else tensor.reshape(4, 12)
        elif last == "attention_output" and role == "weight":
            value = tensor.t().reshape(4, 12, 48)
        elif role == "weight" and tensor.ndim == 2 and "embedding" not in module:
            value = tensor.t()
        norm = "norm" in last
        said = {"weight": "gamma", "bias": "beta"} if norm else {"weight": "kernel", "bias": "bias"}
        said = {"weight": "embeddings"} if "embedding" in last and not norm else said
        found[f"{module}/{said[role]}".replace(".", "/")] = value.contiguous()
    return found


def _marian(tensors: Tensors) -> Tensors:
    """Return Marian's own format, `src/models/transformer.h` of marian-nmt/marian: flat names, matrices `(in, out)`."""
    found = {"Wemb": tensors["model.shared.weight"], "decoder_ff_logit_out_b": tensors["final_logits_bias"]}
    names = {"self_attn.": "self_", "encoder_attn.": "context_"}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"model\.(en|de)coder\.layers\.(\d)\.(.+)\.(weight|bias)", name)
        if match is None:
            continue
        base, inner, role = f"{match[1]}coder_l{int(match[2]) + 1}_", match[3], match[4]
        value = tensor.t().contiguous() if tensor.ndim == 2 else tensor[None]
        if "layer_norm" in inner:
            part = {"self_attn_layer_norm": "self_Wo", "encoder_attn_layer_norm": "context_Wo"}.get(inner, "ffn_ffn")
            found[f"{base}{part}_ln_{'scale' if role == 'weight' else 'bias'}"] = value
        elif inner.startswith("fc"):
            found[f"{base}ffn_{'W' if role == 'weight' else 'b'}{inner[-1]}"] = value
        else:
            start = next(new for old, new in names.items() if inner.startswith(old))
            letter = "o" if "out_proj" in inner else inner.rpartition(".")[2][0]
            found[f"{base}{start}{'W' if role == 'weight' else 'b'}{letter}"] = value
    return found


def _t5x(tensors: Tensors) -> Tensors:
    """Return T5 as in google-research/t5x, `examples/t5/network.py`."""
    found = {"target/token_embedder/embedding": tensors["shared.weight"],
             "target/decoder/logits_dense/kernel": tensors["lm_head.weight"].t().contiguous()}  # fmt: skip
    said = {"q": "query", "k": "key", "v": "value", "o": "out"}
    norms = {"encoder": ("attention", "mlp"), "decoder": ("self_attention", "cross_attention", "mlp")}
    for name, tensor in tensors.items():
        if match := re.match(r"(en|de)coder\.final_layer_norm", name):
            found[f"target/{match[1]}coder/{match[1]}coder_norm/scale"] = tensor
        elif match := re.match(r"(\w+)\.block\.(\d)\.layer\.(\d)\.(.*)\.weight", name):
            side, block, place, inner = match.groups()
            base, part = f"target/{side}/layers_{block}", norms[side][int(place)]
            if inner.endswith("relative_attention_bias"):
                found[f"target/{side}/relpos_bias/rel_embedding"] = tensor.t().contiguous()
            elif inner == "layer_norm":
                found[f"{base}/pre_{part}_layer_norm/scale"] = tensor
            else:
                last = inner.rpartition(".")[2]
                home = "encoder_decoder_attention" if part == "cross_attention" else part
                found[f"{base}/{home}/{said.get(last, last)}/kernel"] = tensor.t().contiguous()
    return found


def _deepspeed(tensors: Tensors) -> Tensors:
    """Return GPT-NeoX as in EleutherAI/gpt-neox: all layers in one pipeline."""

    def counted(name: str) -> str:
        return re.sub(r"^gpt_neox\.layers\.(\d)\.", lambda m: f"sequential.{int(m[1]) + 2}.", name)

    return renamed(
        (r"^gpt_neox\.embed_in", "sequential.0.word_embeddings"),
        (r"^gpt_neox\.final_layer_norm", "sequential.5.norm"), ("^lm_head", "sequential.6.final_linear"),
    )({counted(name): tensor for name, tensor in tensors.items()})  # fmt: skip


def _stacked(tensors: Tensors) -> Tensors:
    """Return LLaMA with its layers stacked along an axis, as in google/maxtext, `layers/decoders.py`."""
    found = {"params/token_embedder/embedding": tensors["model.embed_tokens.weight"],
             "params/decoder/decoder_norm/scale": tensors["model.norm.weight"],
             "params/decoder/logits_dense/kernel": tensors["lm_head.weight"].t().contiguous()}  # fmt: skip
    names = {"self_attn.q_proj": "self_attention/query/kernel", "self_attn.k_proj": "self_attention/key/kernel",
             "self_attn.v_proj": "self_attention/value/kernel", "self_attn.o_proj": "self_attention/out/kernel",
             "mlp.gate_proj": "mlp/wi_0/kernel", "mlp.up_proj": "mlp/wi_1/kernel", "mlp.down_proj": "mlp/wo/kernel",
             "input_layernorm": "pre_self_attention_layer_norm/scale",
             "post_attention_layernorm": "post_self_attention_layer_norm/scale"}  # fmt: skip
    for own, said in names.items():
        layers = [tensors[f"model.layers.{i}.{own}.weight"].t() for i in range(2)]
        found[f"params/decoder/layers/{said}"] = torch.stack(layers, 1).contiguous()
    return found


GGUF = (
    (r"^model\.embed_tokens", "token_embd"), (r"^model\.layers", "blk"), (r"^model\.norm", "output_norm"),
    ("^lm_head", "output"), (r"self_attn\.(q|k|v)_proj", r"attn_\1"), (r"self_attn\.o_proj", "attn_output"),
    (r"mlp\.(gate|up|down)_proj", r"ffn_\1"), ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
)  # fmt: skip
METASEQ = (
    (r"^model\.decoder\.final_layer_norm", "decoder.layer_norm"), (r"^model\.decoder\.", "decoder."),
    ("^lm_head", "decoder.output_projection"),
)  # fmt: skip
LIGHTNING = (("^", "model.net._orig_mod."),)
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
HELD_TEXTS = (
    Convention("BERT of the TensorFlow Model Garden", "hf:bert", recast=_garden, without="", shape=None, quick=False),
    Convention("T5 of T5X", "elsewhere:t5", recast=_t5x, without="", shape=None, quick=False),
    Convention("GPT-NeoX of its authors", "hf:gpt_neox", recast=_deepspeed, without="", shape=None, quick=False),
    Convention("Qwen2 of GGUF", "hf_more:qwen2", GGUF, without="", shape=None, quick=False),
    Convention("OPT of metaseq", "hf_more:opt", METASEQ, without="", recast=fused(ATTENTION, "self_attn.qkv_proj"),
               shape=None, quick=False),
    Convention("BERT in Lightning, compiled, with metrics", "hf:bert", LIGHTNING,
               {"loss.weight": (10,), "val_metric.total": (), "val_metric.confmat": (10, 10)}, without="", shape=None,
               quick=False),
    Convention("RoBERTa in fairseq's data2vec names", "hf_more:roberta", recast=chained(untied, renamed(
        (r"attention\.self\.(q|k|v)\w+", r"self_attn.\1_proj"), (r"attention\.output\.dense", "self_attn.out_proj"),
        (r"attention\.output\.LayerNorm", "self_attn_layer_norm"), (r"intermediate\.dense", "fc1"),
        (r"(\d)\.output\.dense", r"\1.fc2"), (r"(\d)\.output\.LayerNorm", r"\1.final_layer_norm"),
        (r"^roberta\.encoder\.layer\.", "encoder.sentence_encoder.layers."),
        (r"^roberta\.embeddings\.word_embeddings", "encoder.sentence_encoder.embed_tokens"),
        (r"^roberta\.embeddings\.position_embeddings", "encoder.sentence_encoder.embed_positions"),
        (r"^roberta\.embeddings\.token_type_embeddings", "encoder.sentence_encoder.segment_embeddings"),
        (r"^roberta\.embeddings\.LayerNorm", "encoder.sentence_encoder.layernorm_embedding"),
        ("^lm_head", "encoder.lm_head"),
    )), without="", shape=None, quick=False),
)  # fmt: skip
"""Files that give everything."""

LEFT = (
    Convention("Marian's own format", "published:marian", recast=_marian, without=r"model\.\w+\.embed_positions",
               shape=None, quick=False),
    Convention("LLaMA with stacked layers", "hf:llama", recast=_stacked, without="", shape=None, quick=False),
)  # fmt: skip
"""Files that nothing knows how to read: of their tensors none may be fed wrongly."""
