"""What module names say: synonyms of the roles that layers play, and of what stands around them."""

from __future__ import annotations

import re
from functools import lru_cache

WRAPPERS = {
    "conv", "linear", "convolution", "bn", "norm", "normalization", "ln", "c", "fn", "net", "module", "layer",
    "projection", "batch_norm", "batchnorm", "self", "base_layer", "0", "1", "dense_layer",
}  # fmt: skip
"""Names that say what a module is and not what it is for: its parent's name decides."""

CONTEXTS: dict[str, str] = {
    "se": r"se\d*|attn_last|se_\w+|squeeze_?excit\w*|channel_attention|eca|se_module|gc",
    "down": r"downsampl\w*|down_?sample\w*|patch_merging|merging|transition\d*|downsampling_layer",
    "shortcut": r"shortcut|skip\w*|identity(_\w+)?|residual_proj|id_conv|skip_conn\w*",
    "attn": r"\w*attn(?!_(block|grid|downsample|layer))\w*|\w*attention(?!_(block|grid|layer|output))|sa|mha"
            r"|xca|\w*attn_in|attn_layer|att",
    "mlp": r"mlp\w*|\w*ffn\d*|ff\d*|feed_?forward\w*|intermediate|densereludense|\w*_mlp|channel_mixer|moe\w*"
           r"|experts?",
    "embed": r"embeddings?|patch_embed\w*|\w*embedder|patch_embeddings?|tokens_to_token",
    "stem": r"stem\w*|conv_stem|conv1|inc",
    "head": r"heads?|classifier\w*|\w*classifier|lm_head|cls|pooler",
}  # fmt: skip
"""Surroundings, by the names of the modules that make them."""

ROLES: tuple[tuple[str, str, str], ...] = (
    ("patch_embed", "", r"patch_embed(ding)?s?(\.\w*proj\w*|\.backbone)?|pixel_embed\.proj"),
    ("position", "", r"positions?|places?|pos"
                     r"|(\w*_)?pos(_?embed(ding)?s?|itional_?embed(ding)?s?|ition_?embed(ding)?s?|_emb"
                     r"|_embd)?(_table)?|wpe|embed_positions"
                     r"|pixel_pos|patch_pos|absolute_pos_embed|positional_encoding"),
    ("token_type", "", r"token_type_embed(ding)?s?|seg(ment)?s?(_?emb(ed(ding)?)?s?)?"),
    ("embed", "", r"wte|embed_tokens|tok(en)?_embed(ding)?s?|word_embed(ding)?s?|embed_in|shared"
                  r"|token_embedding(_table)?|embed|embedding|token_embd"
                  r"|tok_emb|token_embedder|word_emb|tok(en)?s?|words?|vocab(ulary)?|lookup|emb|embedder|(\w*_)?luts?"),
    ("cls", "", r"cls|cls_token|class_token|class_embedding|cls_embed"),
    ("dist", "", r"dist(illation)?_token"),
    ("mask", "", r"mask_token"),
    ("register", "", r"reg(ister)?_tokens?|storage_tokens"),
    ("bias_table", "", r"relative_position_bias_table|relative_attention_bias|rel_pos_h|rel_pos_w|rel_pos"
                       r"|rel(ative)?_?pos(ition)?_?bias\.rel_embedding"
                       r"|attention_biases"),
    ("se_reduce", "se", r"fc1|conv_reduce|reduce|0|down|conv1|fc_reduce|squeeze"),
    ("se_expand", "se", r"fc2|conv_expand|expand|2|up|conv2|fc_expand|excit\w*"),
    ("qkv", "", r"qkv(_proj|_conv)?|query_key_value|c_attn|in_proj|wqkv|to_qkv|w_?pack|qkv_bias|attn\.attn|att_proj"),
    ("kv", "", r"kv(_proj|_einsum)?|to_kv|key_value|c_kv"),
    ("qk", "", r"qk(_proj)?|to_qk"),
    ("q", "", r"q(_proj|_lin|_linear|_einsum)?|query(_proj)?|to_q|wq|linear_q|queries"),
    ("k", "", r"k(_proj|_lin|_linear)?|key(_proj)?|to_k|wk|linear_k|keys"),
    ("v", "", r"v(_proj|_lin|_linear)?|value(_proj)?|to_v|wv|linear_v|values"),
    ("se_reduce", "", r"block\.\d\.fc1|attention\.0|se_reduce"),
    ("se_expand", "", r"block\.\d\.fc2|attention\.2|se_expand"),
    ("q_norm", "", r"(q_norm|query_norm|q_ln|q_layernorm|norm_(added_)?q)"),
    ("k_norm", "", r"(k_norm|key_norm|k_ln|k_layernorm|norm_(added_)?k)"),
    ("qk_scale", "attn", r"logit_scale|temperature|tau"),
    ("cpb1", "", r"cpb_mlp\.(0|fc1)|continuous_position_bias_mlp\.0"),
    ("cpb2", "", r"cpb_mlp\.(2|fc2)|continuous_position_bias_mlp\.2"),
    ("sr", "", r"sr|sequence_reduction|reduction_conv"),
    ("norm1", "attn", r"attention\.(layernorm|layer_norm)|output\.layernorm"),
    ("attn_norm", "attn", r"layernorm|layer_norm|norm|inner_attn_ln"),
    ("o", "attn", r"(\w*\.)?(o|o_proj|out_proj|c_proj|proj|out|output|out_lin|linear_out|linear_o|to_out|merge"
                  r"|wo|dense|output_proj)"
                  r"|output\.dense|(to_out|proj|resid)\.(0|ln)|wo"),
    ("o", "", r"attn_out|attention_output|o_proj|attn_vec_einsum|wo"),
    ("gate_up", "", r"gate_up_proj|gate_up|gating_einsum|w12|w13|wi_fused|fc1_fused|weights_in"),
    ("gate", "", r"gate_proj|gate|w_gate|wi_0|fc1_g|linear_gate"),
    ("up", "", r"up_proj|up|wi_1|fc1_x|w_up"),
    ("gate", "mlp", r"w1"),
    ("up", "mlp", r"w3"),
    ("fc2", "mlp", r"ln2(\.\w+)?|w2|down(_proj)?|c_proj|wo|out(put)?(_proj|_dense)?|fc_out|[234]|proj|(conv|dense|lin)2"
                  r"|linear(_out)?"),
    ("fc1", "mlp", r"wi|0|c_fc|dense|intermediate(_dense)?|((fc|linear)_)?in(_proj)?|(conv|dense|lin)1|fc|ln1(\.\w+)?"),
    ("fc1", "", r"fc_?1|ffn|lin(ear)?1|c_fc|dense_h_to_4h|intermediate\.dense|pwconv1|fc_in|ff_proj"),
    ("fc2", "", r"fc_?2|ffn_output|lin(ear)?2|dense_4h_to_h|down_proj|output\.dense|pwconv2|fc_out|w_down"
            r"|weights_out|ff_out"),
    ("mlp_norm", "mlp", r"norm|layernorm|layer_norm|ffn_ln"),
    ("pre_norm", "", r"pre_(norm|ln|layer_?norm)|(norm|ln)_?0"),
    ("cross_norm", "", r"(pre_)?(encoder|enc|cross)_att(entio)?n_(layer_?)?(norm|ln)|(norm|ln)_cross(_attn)?"),
    ("norm1", "", r"((batch|layer)_?)?norm_?1|(bn|ln)_?1|(gn|in)1|(pre_)?(self_)?att(entio)?n_(layer_?)?(norm|ln)"
                  r"|(norm|ln)_attn|((layer)?norm|ln)_before|before_norm|input_layernorm|sa_layer_norm"
                  r"|conv1\.(bn|norm\w*)|layer\.0\.normalization"),
    ("norm2", "", r"((batch|layer)_?)?norm_?2|(bn|ln)_?2|gn2|(pre_)?(mlp|ffn?|ffw|feed_?forward)_(layer_?)?(norm|ln)"
                  r"|(norm|ln)_mlp|(layer)?norm_after|after_norm|post_attention_layernorm|(final|output|full_layer)_layer_norm"
                  r"|output\.layernorm|conv2\.(bn|norm\w*)|layer\.1\.normalization"),
    ("norm3", "", r"norm_?3|ln_?3|layer_?norm_?3|(bn|batch_?norm)_?3|gn3|conv3\.(bn|norm\w*)"
                  r"|layer\.[23]\.normalization"),
    ("post_attn_norm", "", r"post_attn_norm|norm1_post"),
    ("post_mlp_norm", "", r"post_feedforward_layernorm|norm2_post"),
    ("embed_norm", "embed", r"norm|layernorm|layer_norm|ln"),
    ("embed_norm", "", r"word_embeddings_layernorm|ln_pre|norm_pre|pre_layrnorm|embed_norm|norm_embed"
                       r"|layernorm_embedding"),
    ("downsample", "down", r"\w+(\.\w+)?"),
    ("shortcut", "shortcut", r"\w+(\.\w+)?"),
    ("shortcut", "", r"block\d+-\d+\.proj(\.\d+)?|\w*shortcut|skip(_conn\w*)?|identity_\w+"),
    ("step", "", r"t(ime)?_?emb(ed(ding)?)?_?(proj(ection)?|layers?\.\d)|emb_layers\.\d|emb_proj"),
    ("dw", "", r"conv_dw|dwconv|dw|dw_conv|depthwise\w*|conv_depthwise|token_mixer"),
    ("dw_norm", "", r"bn_dw|norm_dw"),
    ("expand", "", r"conv_pw_exp|conv_exp|expand_conv|expand|pw_exp|expand_1x1|conv1_1x1|conv_a"),
    ("project", "", r"conv_pwl|project_conv|project|pw_proj|reduce_1x1|conv3_1x1|conv_c"),
    ("gamma1", "", r"gamma_?1|lambda_?1|ls1(\.gamma)?|layer_?scale_?1\.\w+|layer_scale_1"),
    ("gamma2", "", r"gamma_?2|lambda_?2|ls2(\.gamma)?|layer_?scale_?2\.\w+|layer_scale_2"),
    ("gamma", "", r"gamma|layer_scale|layer_scale_parameter|ls|layer_scale\.\w+"),
    ("logit_scale", "", r"logit_scale"),
    ("conv1", "", r"conv_?1|layer\.0\.convolution"),
    ("conv2", "", r"conv_?2|conv2_kxk|layer\.1\.convolution"),
    ("conv3", "", r"conv_?3|layer\.[23]\.convolution"),
    ("pooler", "", r"pooler\.dense"),
    ("ih", "", r"ih(_l\d+)?(_reverse)?"),
    ("hh", "", r"hh(_l\d+)?(_reverse)?"),
)  # fmt: skip
"""(token, surroundings or "" for any, names): the first row that fits a path's last components decides."""

TOP: tuple[tuple[str, str], ...] = (
    ("patch_embed", r"conv_proj|visual\.conv1"),
    ("stem_norm", r"stem\.(\w+\.)*(bn\d*|norm\d*|normalization)|(bn|norm)[01]|features\.norm0|conv1\.bn"
                  r"|(initial|first|root|input)_(bn|(batch_?)?norm)"),
    ("embed_proj", r"embeddings_project|embedding_hidden_mapping_in|project_in"),
    ("final_norm", r"((final_)?(layer_?)?norm(_f|_final)?|ln(_f|_final|_post)?|fc_norm|post_layernorm|last|last_norm"
                   r"|norm_last|after_norm|(encoder|decoder)_norm|out(put)?_norm|norm_head|norm5|pooler\.layernorm"
                   r"|head\.norm)"),
    ("head_dist", r"head_dist(\.\w+)*|distillation_classifier"),
    ("head", r"(lm_head(\.decoder)?|embed_out|out(put)?_head"
             r"|heads?(\.(head|fc|linear|l|out_proj))?|fc|classifier|last_linear|output_layer"
             r"|cls_classifier"
             r"|(visual|text)_projection|logits(_dense)?|score|cls\.predictions\.decoder|out|output|linear|outc(\.conv)?"
             r"|qa_outputs|ff_out|proj|predict\w*|readout|to_logits|unembed\w*|generator|decoder|classify)"),
    ("stem", r"stem(\.\w+)*|conv_stem(\.\w+)*|conv1(\.\w+)*|conv0|features\.conv0|(?!tok|word)\w*embedder(\.\w+)*"
             r"|conv2d_1a_3x3(\.\w+)*|(initial|first|root|input)_conv(\.\w+)*"),
)  # fmt: skip
"""(token, whole path below the model's own prefix): names that mean something only outside of blocks."""

_PREFIX = re.compile(r"^((model|module|backbone|encoder|decoder|transformer|features|base_model|bert|roberta"
                     r"|vit|deit|beit|swin|"
                     r"convnext|resnet|regnet|gpt_neox|language_model|vision_model|text_model|visual|trunk"
                     r"|dinov2)\.)+")  # fmt: skip
_INDEXED = re.compile(r"\d\.")
_OUTSIDE = re.compile(r"stem|head|classifier|conv1\.|(?!tok|word)\w*embedder\.")
_CROSS = re.compile(
    r"(^|\.)(encdec_?attention|encoder_attn|cross_?attention\w*|cross(_\w*)?|multihead_attn|src_att(entio)?n"
    r"|enc_dec_attn|encoder_decoder_attention|(memory|inter|context|(dec_)?enc)_att(entio)?n|attn2)\."
)
PROJECTED = re.compile(r"(?:^|_)(?=(?:q|query|queries|k|keys?|v|values?)(?:_|$))([qkv])")
"""The words by which a module says which projection of an attention it stands at: `conv_proj_q`."""
_CONTEXTS = {name: re.compile(f"({names})$") for name, names in CONTEXTS.items()}
_ROLES = tuple((token, context, re.compile(f"({names})"), "." in names) for token, context, names in ROLES)
_DOTTED_ROLES = tuple(role for role in _ROLES if role[3])
_TOP = tuple((token, re.compile(names)) for token, names in TOP)
SECOND = re.compile(r"(^|_)(k|key|momentum|target|ema|avg|averaged?|shadow|student|slow|old)(_|$)")
"""Words for the copy that is not the one to go on from: where a teacher is the average, it is that of the student."""


def contexts(path: str) -> tuple[str, ...]:
    """Return the surroundings of a path from the nearest outwards: `layer.0.attention.output.dense` is in `attn`."""
    return tuple(name for part in reversed(path.lower().split(".")[:-1]) for name in _contexts_of(part))


@lru_cache(maxsize=65536)
def _contexts_of(part: str) -> tuple[str, ...]:
    return tuple(name for name, pattern in _CONTEXTS.items() if pattern.match(part))


def _tails(parts: list[str]) -> list[str]:
    """Return the endings of a path that may name its role: its wrappers dropped one after the other."""
    tails: list[str] = []
    for end in range(len(parts), 0, -1):
        tails.extend(".".join(parts[end - length : end]) for length in (3, 2, 1) if length <= end)
        if parts[end - 1] not in WRAPPERS:
            break
    return tails


@lru_cache(maxsize=65536)
def canonical_role(path: str) -> str:
    """Return the role that a layer's path names, such as `q`, `o`, `fc1`, `norm2`, `downsample`, `head`; "" if none.

    >>> canonical_role("h.0.attn.c_proj"), canonical_role("h.0.mlp.c_proj"), canonical_role("layer.3.output.dense")
    ('o', 'fc2', 'fc2')
    """
    lower = path.lower()
    bare = _PREFIX.sub("", lower)
    outside = not _INDEXED.search(bare) or _OUTSIDE.match(bare)
    if outside and (top := next((token for token, pattern in _TOP if pattern.fullmatch(bare)), "")):
        return top
    near = next(iter(contexts(path)), "")
    for tail in _tails(lower.split(".")):
        if token := _role_of(tail, near):
            return crossing(path) + token
    ahead = _ahead_of(lower)
    return crossing(path) + ahead if ahead else ""


def _ahead_of(path: str) -> str:
    """Return `to_q`, `to_k` or `to_v` for a layer of an attention whose module says which projection it stands at."""
    if "attn" not in contexts(path):
        return ""
    said = (PROJECTED.search(part) for part in reversed(path.split(".")[:-1]))
    return next((f"to_{match[1]}" for match in said if match), "")


@lru_cache(maxsize=65536)
def _role_of(tail: str, near: str) -> str:
    """Return the role that the end of a path names, the one for where it stands first; without a dot, one part's."""
    roles, name = _DOTTED_ROLES if "." in tail else _ROLES, tail.removesuffix("_layer")
    fits = ((not where, token) for token, where, names, _ in roles if where in ("", near) if names.fullmatch(name))
    return min(fits, key=lambda role: role[0], default=(True, ""))[1]


def crossing(path: str) -> str:
    """Return the prefix `cross_` of the roles in an attention to another sequence, "" elsewhere."""
    return "cross_" if _CROSS.search(path.lower()) else ""


def without_crossing(path: str) -> str:
    """Return a path in lower case, without the modules that attend to another sequence."""
    return _CROSS.sub(".", path.lower())


@lru_cache(maxsize=65536)
def surroundings(name: str) -> str:
    """Return what a module's own name makes of it (`attn`, `mlp`, `se`, `down`, `embed` ...), or ""."""
    return next((context for context, pattern in _CONTEXTS.items() if pattern.fullmatch(name.lower())), "")


def is_second(module: str) -> bool:
    """Tell whether a module is named as the copy of a network that is not the one to go on from."""
    return bool(SECOND.search(module.lower()))
