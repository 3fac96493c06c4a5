"""More files of text models under names of other projects, on which rules for names were decided."""

from __future__ import annotations

import re

import torch

from tests.equivalence.conventions import Convention, Tensors, untied
from tests.equivalence.recasting import chained, fused, neighbouring, renamed


def _gpt2_of_tensorflow(tensors: Tensors) -> Tensors:
    """Return GPT-2 as in openai/gpt-2, `src/model.py`: kernels of 1-wide convolutions under `w`, norms of `g`, `b`."""
    found = {}
    for name, tensor in untied(tensors).items():
        module, _, role = name.removeprefix("transformer.").rpartition(".")
        path = re.sub(r"^h\.(\d)\.", r"h\1/", module).replace(".", "/")
        if path in ("wte", "wpe"):
            found[f"model/{path}"] = tensor
        else:
            said = "b" if role == "bias" else "g" if "ln_" in path else "w"
            found[f"model/{path}/{said}"] = tensor[None] if said == "w" else tensor
    return found


def _upright(tensors: Tensors) -> Tensors:
    linear = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight")
    return {n: t.t().contiguous() if linear.search(n) else t for n, t in tensors.items()}


def _min_gpt(tensors: Tensors) -> Tensors:
    """Return GPT-2 as in karpathy/minGPT, first version, `mingpt/model.py`: keys before queries, places as a tensor."""
    found = {}
    for name, tensor in _upright({n: t.clone() for n, t in tensors.items()}).items():
        if "c_attn" in name:
            for part, role in zip(tensor.chunk(3), ("query", "key", "value"), strict=True):
                found[name.replace("c_attn", role)] = part.contiguous()
        else:
            found[name] = tensor[None] if "wpe" in name else tensor
    rules = (
        (r"^transformer\.h\.", "blocks."), (r"\.ln_(\d)", r".ln\1"), (r"attn\.c_proj", "attn.proj"),
        (r"mlp\.c_fc", "mlp.0"), (r"mlp\.c_proj", "mlp.2"), (r"^transformer\.wte", "tok_emb"),
        (r"^transformer\.wpe\.weight", "pos_emb"), (r"^transformer\.ln_f", "ln_f"), ("^lm_head", "head"),
    )  # fmt: skip
    order = ("tok_emb", "pos_emb", "blocks", "ln_f", "head")
    named = renamed(*rules)(found)
    return {n: named[n] for part in order for n in named if n.startswith(part)}


BERT_PYTORCH = (
    (r"embeddings\.word_embeddings", "embedding.token"), (r"embeddings\.position_embeddings", "embedding.position"),
    (r"embeddings\.token_type_embeddings", "embedding.segment"), (r"embeddings\.LayerNorm", "embedding.norm"),
    (r"^encoder\.layer\.", "transformer_blocks."),
    (r"attention\.self\.query", "attention.linear_layers.0"), (r"attention\.self\.key", "attention.linear_layers.1"),
    (r"attention\.self\.value", "attention.linear_layers.2"),
    (r"attention\.output\.dense", "attention.output_linear"),
    (r"attention\.output\.LayerNorm", "input_sublayer.norm"), (r"intermediate\.dense", "feed_forward.w_1"),
    (r"(\d)\.output\.dense", r"\1.feed_forward.w_2"), (r"(\d)\.output\.LayerNorm", r"\1.output_sublayer.norm"),
    (r"norm\.weight", "norm.a_2"), (r"norm\.bias", "norm.b_2"), ("^", "bert."),
)  # fmt: skip
FLASH_BERT = (
    (r"^encoder\.layer\.", "encoder.layers."), (r"attention\.output\.dense", "mixer.out_proj"),
    (r"attention\.output\.LayerNorm", "norm1"), (r"intermediate\.dense", "mlp.fc1"),
    (r"(\d)\.output\.dense", r"\1.mlp.fc2"), (r"(\d)\.output\.LayerNorm", r"\1.norm2"),
    (r"^embeddings\.LayerNorm", "emb_ln"), ("^", "bert."),
)  # fmt: skip
RWKV = (
    (r"^rwkv\.embeddings", "emb"), (r"^rwkv\.", ""), ("pre_ln", "ln0"), (r"attention\.", "att."),
    (r"feed_forward\.", "ffn."), ("time_mix_key", "time_mix_k"), ("time_mix_value", "time_mix_v"),
    ("time_mix_receptance", "time_mix_r"),
)  # fmt: skip
TORCHTUNE = (
    (r"^model\.embed_tokens", "tok_embeddings"), (r"^model\.", ""), ("^lm_head", "output"),
    (r"self_attn\.o_proj", "attn.output_proj"), ("self_attn", "attn"), (r"mlp\.gate_proj", "mlp.w1"),
    (r"mlp\.down_proj", "mlp.w2"), (r"mlp\.up_proj", "mlp.w3"), (r"input_layernorm\.weight", "sa_norm.scale"),
    (r"post_attention_layernorm\.weight", "mlp_norm.scale"), (r"^norm\.weight", "norm.scale"),
)  # fmt: skip
META = (
    (r"^model\.embed_tokens", "tok_embeddings"), (r"^model\.", ""), ("^lm_head", "output"),
    (r"self_attn\.(q|k|v|o)_proj", r"attention.w\1"), (r"mlp\.gate_proj", "feed_forward.w1"),
    (r"mlp\.down_proj", "feed_forward.w2"), (r"mlp\.up_proj", "feed_forward.w3"),
    ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"),
)  # fmt: skip
NEIGHBOURS = neighbouring(4, "q_proj", "k_proj")
WHOLE = fused(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "attention.wqkv")
OPENNMT = (
    (r"shared\.", "encoder.embeddings.make_embedding.emb_luts.0."), ("^model\\.", ""),
    (r"encoder\.layers", "encoder.transformer"), (r"decoder\.layers", "decoder.transformer_layers"),
    ("encoder_attn_layer_norm", "layer_norm_2"), ("self_attn_layer_norm", "layer_norm_1"),
    ("final_layer_norm", "feed_forward.layer_norm"), ("fc1", "feed_forward.w_1"), ("fc2", "feed_forward.w_2"),
    ("encoder_attn", "context_attn"), ("q_proj", "linear_query"), ("k_proj", "linear_keys"),
    ("v_proj", "linear_values"), ("out_proj", "final_linear"),
)  # fmt: skip
GGUF_BERT = (
    (r"embeddings\.word_embeddings", "token_embd"), (r"embeddings\.position_embeddings", "position_embd"),
    (r"embeddings\.token_type_embeddings", "token_types"), (r"embeddings\.LayerNorm", "token_embd_norm"),
    (r"^encoder\.layer\.", "blk."), (r"attention\.self\.(q|k|v)\w+", r"attn_\1"),
    (r"attention\.output\.dense", "attn_output"), (r"attention\.output\.LayerNorm", "attn_output_norm"),
    (r"intermediate\.dense", "ffn_up"), (r"(\d)\.output\.dense", r"\1.ffn_down"),
    (r"(\d)\.output\.LayerNorm", r"\1.layer_output_norm"),
)  # fmt: skip
FSDP = (
    (r"^encoder\.layer\.(\d)\.", r"encoder.layer.\1._fsdp_wrapped_module._checkpoint_wrapped_module."),
    ("^", "_fsdp_wrapped_module.bert."),
)  # fmt: skip


def _phi(tensors: Tensors) -> Tensors:
    """Return Phi as in its first files on the hub, `modeling_mixformer_sequential.py`: all layers in one sequence."""
    parts = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    found = fused(parts, "mixer.Wqkv")(tensors)

    def counted(name: str) -> str:
        return re.sub(r"^model\.layers\.(\d)\.", lambda m: f"layers.{int(m[1]) + 1}.", name)

    found = {counted(name): tensor for name, tensor in found.items()}
    return renamed(
        (r"^model\.embed_tokens", "layers.0.wte"), (r"self_attn\.dense", "mixer.out_proj"), ("input_layernorm", "ln"),
        (r"^model\.final_layernorm", "layers.3.ln"), ("^lm_head", "layers.3.linear"),
    )(found)  # fmt: skip


def _mesh_t5(tensors: Tensors) -> Tensors:
    """Return T5 as in google-research/text-to-text-transfer-transformer: variables of mesh-tensorflow."""
    found = {}
    for name, tensor in untied(tensors).items():
        path = re.sub(r"block\.(\d)\.layer\.(\d)\.", r"block_00\1/layer_00\2/", name).replace(".", "/")
        path = (
            path.replace("shared/weight", "shared/embedding")
            .replace("layer_norm/weight", "layer_norm/scale")
            .replace("lm_head/weight", "decoder/logits/kernel")
        )
        table = "relative_attention_bias" in path or "embedding" in path
        if "DenseReluDense" in path:
            path = path.replace("/weight", "/kernel")
        path = path.removesuffix("/weight")
        found[path] = tensor.t().contiguous() if tensor.ndim == 2 and ("relative" in path or not table) else tensor
    return found


def _flax_gemma(tensors: Tensors) -> Tensors:
    """Return Gemma as in google-deepmind/gemma: heads have an axis, keys and values one tensor, as gate and up have."""
    found = {"transformer/embedder/input_embedding": tensors["model.embed_tokens.weight"],
             "transformer/final_norm/scale": tensors["model.norm.weight"]}  # fmt: skip
    for i in range(2):
        own, base = f"model.layers.{i}.", f"transformer/layer_{i}/"
        part = {n.removeprefix(own).removesuffix(".weight"): t for n, t in tensors.items() if n.startswith(own)}
        query, key, value = (part[f"self_attn.{c}_proj"] for c in "qkv")
        found[f"{base}attn/q_einsum/w"] = query.reshape(4, 12, 48).transpose(1, 2)
        found[f"{base}attn/kv_einsum/w"] = torch.stack([key.reshape(2, 12, 48), value.reshape(2, 12, 48)]).transpose(
            2, 3
        )
        found[f"{base}attn/attn_vec_einsum/w"] = part["self_attn.o_proj"].t().reshape(4, 12, 48)
        found[f"{base}mlp/gating_einsum"] = torch.stack([part["mlp.gate_proj"].t(), part["mlp.up_proj"].t()])
        found[f"{base}mlp/linear"] = part["mlp.down_proj"].t()
        found[f"{base}pre_attention_norm/scale"] = part["input_layernorm"]
        found[f"{base}pre_ffw_norm/scale"] = part["post_attention_layernorm"]
    return {name: tensor.contiguous() for name, tensor in found.items()}


QKV = ("attention.self.query", "attention.self.key", "attention.self.value")
TEXTS = (
    Convention("Mamba of its authors", "published:mamba", ((r"embeddings\.", "embedding."),), without="", shape=None,
               quick=False),
    Convention("RWKV of its author", "published:rwkv", RWKV, without="", shape=None),
    Convention("Phi as one sequence", "hf_more:phi", recast=_phi, without="", shape=None, quick=False),
    Convention("GPT-2 of OpenAI", "hf:gpt2", recast=_gpt2_of_tensorflow, without="", shape=None),
    Convention("GPT-2 of minGPT", "hf:gpt2", recast=_min_gpt, without="", shape=None, quick=False),
    Convention("BERT of codertimo", "hf:bert", BERT_PYTORCH, without="", shape=None, quick=False),
    Convention("BERT of flash-attention", "hf:bert", FLASH_BERT, recast=fused(QKV, "mixer.Wqkv"), without="",
               shape=None, quick=False),
    Convention("T5 of mesh-tensorflow", "elsewhere:t5", recast=_mesh_t5, without="", shape=None),
    Convention("Gemma of Flax, projections as einsums", "hf:gemma", recast=_flax_gemma, without="", shape=None),
    Convention("LLaMA of its authors", "hf:llama", META, recast=NEIGHBOURS, without="", shape=None, certain=False),
    Convention("LLaMA of torchtune", "hf:llama", TORCHTUNE, recast=NEIGHBOURS, without="", shape=None, certain=False,
               quick=False),
    Convention("LLaMA of gpt-fast", "hf:llama", META, recast=chained(NEIGHBOURS, WHOLE), without="", shape=None,
               certain=False, quick=False),
    Convention("BART under the names of OpenNMT", "hf_more:bart", OPENNMT, recast=untied, without="", shape=None),
    Convention("Qwen2 of torchtune", "hf_more:qwen2", TORCHTUNE, without="", shape=None, quick=False),
    Convention("BERT of GGUF", "hf:bert", GGUF_BERT, without="", shape=None, quick=False),
    Convention("BERT in FSDP with checkpoints", "hf:bert", FSDP, without="", shape=None, quick=False),
)  # fmt: skip
