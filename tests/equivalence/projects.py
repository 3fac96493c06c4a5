"""Files of vision, speech and language projects that name their layers in their own ways."""

from __future__ import annotations

import re

import torch

from tests.equivalence.conventions import RESNET, VIT, Convention, Tensors, text_tower, untied
from tests.equivalence.recasting import chained, fused, renamed, without_counts

HF_QKV = fused(("attention.attention.query", "attention.attention.key", "attention.attention.value"), "attn.qkv")


def _prefixed(prefix: str) -> tuple[tuple[str, str], ...]:
    return (("^", prefix),)


def _detectron2(tensors: Tensors) -> Tensors:
    """Return a ResNet as in detectron2, `modeling/backbone/resnet.py`: norms stand within their convolutions."""
    rules = ((r"^conv1\.", "stem.conv1."), (r"^bn1\.", "stem.conv1.norm."), (r"^fc\.", "linear."),
             (r"downsample\.0", "shortcut"), (r"downsample\.1", "shortcut.norm"))  # fmt: skip
    found = renamed(*rules, (r"\.bn(\d)\.", r".conv\1.norm."))(without_counts(tensors))
    return {re.sub(r"^layer(\d)", lambda m: f"res{int(m[1]) + 1}", name): t for name, t in found.items()}


RCNN = {"proposal_generator.rpn_head.conv.weight": (64, 256, 3, 3), "proposal_generator.rpn_head.conv.bias": (64,),
        "backbone.fpn_lateral2.weight": (64, 64, 1, 1), "backbone.fpn_lateral2.bias": (64,),
        "backbone.fpn_output2.weight": (64, 64, 3, 3), "backbone.fpn_output2.bias": (64,),
        "roi_heads.box_head.fc1.weight": (128, 3136), "roi_heads.box_head.fc1.bias": (128,),
        "roi_heads.box_predictor.cls_score.weight": (11, 128),
        "roi_heads.box_predictor.cls_score.bias": (11,)}  # fmt: skip
MMDETECTION = {"neck.lateral_convs.0.conv.weight": (32, 64, 1, 1), "neck.lateral_convs.0.conv.bias": (32,),
               "neck.fpn_convs.0.conv.weight": (32, 32, 3, 3), "neck.fpn_convs.0.conv.bias": (32,),
               "rpn_head.rpn_conv.weight": (32, 32, 3, 3), "rpn_head.rpn_conv.bias": (32,)}  # fmt: skip
MMPRETRAIN = (
    (r"^blocks\.", "layers."), (r"\.norm(\d)", r".ln\1"), (r"^norm\.", "ln1."), (r"mlp\.fc1", "ffn.layers.0.0"),
    (r"mlp\.fc2", "ffn.layers.1"), (r"^patch_embed\.proj", "patch_embed.projection"), (r"^head\.", "HEAD."),
    ("^(?!HEAD)", "backbone."), (r"^HEAD\.", "head.layers.head."),
)  # fmt: skip
MMSWIN = (
    (r"^layers\.1\.downsample\.", "stages.0.downsample."), (r"^head\.fc", "HEAD"), (r"^layers\.", "stages."),
    (r"attn\.", "attn.w_msa."), (r"mlp\.fc1", "ffn.layers.0.0"), (r"mlp\.fc2", "ffn.layers.1"),
    (r"patch_embed\.proj", "patch_embed.projection"), (r"^norm\.", "norm3."), ("^(?!HEAD)", "backbone."),
    ("^HEAD", "head.fc"),
)  # fmt: skip
CONVNEXT = (
    (r"^stem\.", "downsample_layers.0."), (r"stages\.(\d)\.downsample", r"downsample_layers.\1"),
    (r"stages\.(\d)\.blocks\.(\d)", r"stages.\1.\2"), ("conv_dw", "dwconv"), (r"mlp\.fc", "pwconv"),
    (r"head\.norm", "norm"), (r"head\.fc", "head"),
)  # fmt: skip
SWIN = ((r"layers\.1\.downsample\.", "layers.0.downsample."), (r"^head\.fc", "head"))
SAM = (
    (r"^vision_encoder\.", "image_encoder."), (r"layers\.", "blocks."), ("projection", "proj"),
    (r"blocks\.(\d)\.layer_norm", r"blocks.\1.norm"), (r"neck\.conv1", "neck.0"), (r"neck\.layer_norm1", "neck.1"),
    (r"neck\.conv2", "neck.2"), (r"neck\.layer_norm2", "neck.3"),
)  # fmt: skip
SAM_DECODER = {"prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 8),
               "prompt_encoder.point_embeddings.0.weight": (1, 16), "mask_decoder.iou_token.weight": (1, 16),
               "mask_decoder.mask_tokens.weight": (4, 16),
               "mask_decoder.transformer.layers.0.self_attn.q_proj.weight": (16, 16),
               "mask_decoder.transformer.layers.0.norm1.weight": (16,),
               "mask_decoder.transformer.layers.0.norm1.bias": (16,)}  # fmt: skip
DINOV2 = (
    (r"^embeddings\.", ""), ("position_embeddings", "pos_embed"), (r"patch_embeddings\.projection", "patch_embed.proj"),
    (r"encoder\.layer\.", "blocks.0."), (r"attention\.output\.dense", "attn.proj"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"), ("^layernorm", "norm"),
)  # fmt: skip
IJEPA = (
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"), (r"encoder\.layer\.", "blocks."),
    (r"attention\.output\.dense", "attn.proj"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
    (r"intermediate\.dense", "mlp.fc1"), (r"output\.dense", "mlp.fc2"), ("^layernorm", "norm"),
    ("^", "encoder.module."),
)  # fmt: skip
DINOV3 = (
    (r"^embeddings\.", ""), ("register_tokens", "storage_tokens"), (r"patch_embeddings\.", "patch_embed.proj."),
    (r"^model\.layer\.", "blocks."), (r"attention\.o_proj", "attn.proj"), (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"mlp\.up_proj", "mlp.fc1"), (r"mlp\.down_proj", "mlp.fc2"),
)  # fmt: skip
OPENAI_CLIP = (
    ("^vision_model.", ""), (r"embeddings\.class_embedding", "class_embedding"),
    (r"embeddings\.patch_embedding", "conv1"), (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    ("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post"), (r"encoder\.layers", "transformer.resblocks"),
    (r"self_attn\.out_proj", "attn.out_proj"), ("layer_norm", "ln_"), (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"), (r"attn\.in_proj\.", "attn.in_proj_"), ("^", "visual."),
)  # fmt: skip
CLIP_QKV = fused(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "attn.in_proj")
WHISPER = (
    (r"layers\.", "blocks."), ("encoder_attn_layer_norm", "cross_attn_ln"), ("self_attn_layer_norm", "attn_ln"),
    (r"encoder_attn\.", "cross_attn."), (r"self_attn\.", "attn."), ("q_proj", "query"), ("k_proj", "key"),
    ("v_proj", "value"), ("out_proj", "out"), ("final_layer_norm", "mlp_ln"), ("fc1", "mlp.0"), ("fc2", "mlp.2"),
    (r"encoder\.layer_norm", "encoder.ln_post"), (r"decoder\.layer_norm", "decoder.ln"),
    ("embed_tokens", "token_embedding"), (r"embed_positions\.weight", "positional_embedding"),
)  # fmt: skip
WAVES = (
    (r"conv_layers\.(\d)\.conv", r"conv_layers.\1.0"), (r"conv_layers\.(\d)\.layer_norm", r"conv_layers.\1.2"),
    (r"^feature_projection\.layer_norm", "layer_norm"),
    (r"^feature_projection\.projection", "post_extract_proj"), (r"pos_conv_embed\.conv", "pos_conv.0"),
    (r"parametrizations\.weight\.original0", "weight_g"), (r"parametrizations\.weight\.original1", "weight_v"),
    (r"layers\.(\d)\.attention", r"layers.\1.self_attn"),
    (r"layers\.(\d)\.layer_norm", r"layers.\1.self_attn_layer_norm"), (r"feed_forward\.intermediate_dense", "fc1"),
    (r"feed_forward\.output_dense", "fc2"), ("masked_spec_embed", "mask_emb"),
)  # fmt: skip
QUANTIZER = {"quantizer.vars": (1, 8, 4), "quantizer.weight_proj.weight": (8, 16), "quantizer.weight_proj.bias": (8,),
             "project_q.weight": (8, 8), "project_q.bias": (8,), "final_proj.weight": (8, 48),
             "final_proj.bias": (8,)}  # fmt: skip
ESM = (
    (r"^esm\.", ""), (r"encoder\.layer\.", "layers."), (r"attention\.self\.(q|k|v)\w+", r"self_attn.\1_proj"),
    (r"attention\.output\.dense", "self_attn.out_proj"), (r"attention\.LayerNorm", "self_attn_layer_norm"),
    (r"intermediate\.dense", "fc1"), (r"output\.dense", "fc2"), (r"(\d)\.LayerNorm", r"\1.final_layer_norm"),
    (r"embeddings\.word_embeddings", "embed_tokens"), (r"encoder\.emb", "emb"),
    (r"rotary_embeddings\.inv_freq", "layers.0.self_attn.rot_emb.inv_freq"),
)  # fmt: skip
LIT_GPT = (
    (r"^model\.embed_tokens", "transformer.wte"), (r"^model\.layers", "transformer.h"),
    (r"^model\.norm", "transformer.ln_f"), (r"self_attn\.o_proj", "attn.proj"), ("gate_proj", "fc_1"),
    ("up_proj", "fc_2"), ("down_proj", "proj"), ("input_layernorm", "norm_1"), ("post_attention_layernorm", "norm_2"),
)  # fmt: skip
LLAMA_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def _tonylins(tensors: Tensors) -> Tensors:
    """Return MobileNetV2 as in tonylins/pytorch-mobilenet-v2: each block one plain sequence."""
    places = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}
    first = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}
    found = {}
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"features\.(\d+)\.conv\.(.+)\.(\w+)", name):
            number, place, last = match.groups()
            name = f"features.{number}.conv.{(first if number == '1' else places)[place]}.{last}"
        found[name.replace("features.18.", "conv.").replace("classifier.1", "classifier")] = tensor
    return found


def _dinov3(tensors: Tensors) -> Tensors:
    """Return DINOv3 as in facebookresearch/dinov3: keys have a bias that a mask keeps at zero."""
    found = renamed(*DINOV3)(tensors)
    for i in range(2):
        theirs, own = f"blocks.{i}.attention.", f"blocks.{i}.attn.qkv."
        found[f"{own}weight"] = torch.cat([found.pop(f"{theirs}{c}_proj.weight") for c in "qkv"])
        query, value = (found.pop(f"{theirs}{c}_proj.bias") for c in "qv")
        zeros = torch.zeros_like(query)
        found |= {
            f"{own}bias": torch.cat([query, zeros, value]),
            f"{own}bias_mask": torch.cat([zeros + 1, zeros] * 2)[:144],
        }
    return found | {"rope_embed.periods": torch.rand(3)}


def _gemma(tensors: Tensors) -> Tensors:
    """Return Gemma as in google/gemma_pytorch, `gemma/model.py`."""
    return chained(untied, fused(LLAMA_QKV, "self_attn.qkv_proj"), renamed((r"^model\.embed_tokens", "embedder")))(
        tensors
    )


def _nano(tensors: Tensors) -> Tensors:
    """Return GPT-2 as in karpathy/nanoGPT: linear layers upright, the mask among the tensors."""
    upright = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight")
    found = {n: t.t().contiguous() if upright.search(n) else t for n, t in untied(tensors).items()}
    return found | {f"transformer.h.{i}.attn.bias": torch.ones(32, 32).tril().view(1, 1, 32, 32) for i in range(2)}


def _x_transformers(tensors: Tensors) -> Tensors:
    """Return LLaMA as in lucidrains/x-transformers: attention and feed-forward are layers of one list."""
    outer = {"model.embed_tokens.weight": "token_emb.emb.weight", "model.norm.weight": "attn_layers.final_norm.g",
             "lm_head.weight": "to_logits.weight"}  # fmt: skip
    inner = {"input_layernorm": (0, "0.0.g"), "post_attention_layernorm": (1, "0.0.g"),
             "mlp.gate_proj": (1, "1.ff.0.gate.weight"), "mlp.up_proj": (1, "1.ff.0.proj.weight"),
             "mlp.down_proj": (1, "1.ff.2.weight"), "self_attn.o_proj": (0, "1.to_out.weight")}  # fmt: skip
    inner |= {f"self_attn.{c}_proj": (0, f"1.to_{c}.weight") for c in "qkv"}
    found = {}
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"model\.layers\.(\d)\.(.*)\.weight", name):
            beyond, last = inner[match[2]]
            name = f"attn_layers.layers.{2 * int(match[1]) + beyond}.{last}"
        found[f"net.{outer.get(name, name)}"] = tensor
    return found


PROJECTS = (
    Convention("ResNet of detectron2", "images:tv_bottleneck", recast=_detectron2, quick=False),
    Convention("ResNet within a detector of detectron2", "images:tv_bottleneck", _prefixed("backbone.bottom_up."), RCNN,
               recast=_detectron2, quick=False),
    Convention("ResNet within a detector of mmdetection", "images:tv_bottleneck", _prefixed("backbone."), MMDETECTION,
               quick=False),
    Convention("ViT of MMPretrain", VIT, MMPRETRAIN, without="", quick=False),
    Convention("Swin of MMPretrain", "images:timm_swin", MMSWIN, without="", shape=(3, 64, 64), quick=False),
    Convention("Swin of its authors", "images:timm_swin", SWIN, without="", shape=(3, 64, 64), quick=False),
    Convention("ConvNeXt of its authors", "images:timm_convnext", CONVNEXT, without="", quick=False),
    Convention("MobileNetV2 of tonylins", "images:tv_mobilenet_v2", recast=_tonylins, without="", quick=False),
    Convention("SAM: image encoder, prompts and masks", "elsewhere:sam", SAM, SAM_DECODER, without="",
               shape=(3, 64, 64), quick=False),
    Convention("DINOv2 in chunks", "hf_more:dinov2", DINOV2, {"mask_token": (1, 48)}, recast=HF_QKV, without="",
               quick=False),
    Convention("DINOv3, with the mask of its biases", "elsewhere:dinov3", recast=_dinov3, without="", quick=False),
    Convention("I-JEPA's target encoder", "elsewhere:ijepa", IJEPA, recast=HF_QKV, without="", quick=False),
    Convention("CLIP of OpenAI: both towers as wide", "hf_more:clip", OPENAI_CLIP,
               text_tower(48) | {"visual.proj": (48, 16), "logit_scale": ()}, recast=CLIP_QKV, without="", quick=False),
    Convention("ViT in timm_wrapper, compiled and in parallel", VIT,
               ((r"blocks\.1\.", "blocks.1._checkpoint_wrapped_module."), ("^", "module._orig_mod.timm_model.")),
               without="", quick=False),
    Convention("ResNet with its average in one file", RESNET, twice=("model.", "model_ema.module."), without="",
               quick=False),
    Convention("DPR: two encoders", "hf_more:bert", twice=("ctx_model.encoder.", "question_model.encoder."), without="",
               shape=None),
    Convention("DistilBERT of sentence-transformers, with a dense layer", "hf_more:distilbert",
               _prefixed("0.auto_model."), {"2.linear.weight": (16, 48), "2.linear.bias": (16,)}, without="",
               shape=None, quick=False),
    Convention("Whisper of OpenAI", "elsewhere:whisper", WHISPER, without="", shape=None),
    Convention("wav2vec 2.0 of fairseq", "elsewhere:wav2vec2", WAVES, QUANTIZER, without="", shape=(400,), quick=False),
    Convention("HuBERT of fairseq", "elsewhere:hubert", WAVES,
               {"final_proj.weight": (8, 48), "final_proj.bias": (8,), "label_embs_concat": (12, 8)}, without="",
               shape=(400,), quick=False),
    Convention("ESM of its authors", "elsewhere:esm", ESM, recast=untied, without="", shape=None),
    Convention("Gemma of its authors", "hf:gemma", recast=_gemma, without="", shape=None, quick=False),
    Convention("GPT-2 of nanoGPT", "hf:gpt2", recast=_nano, without="", shape=None, quick=False),
    Convention("LLaMA of lit-gpt", "hf:llama", LIT_GPT, recast=fused(LLAMA_QKV, "attn.qkv"), without="", shape=None,
               quick=False),
    Convention("LLaMA of x-transformers", "hf:llama", recast=_x_transformers, without="", shape=None, quick=False),
    Convention("GPT-NeoX below another module", "hf:gpt_neox", (("gpt_neox", "module"),), without="", shape=None,
               quick=False),
    Convention("Falcon below another module", "elsewhere:falcon", (("^transformer", "model"),), recast=untied,
               without="", shape=None, quick=False),
)  # fmt: skip
"""Files that other projects publish, most with more than the network in them."""
