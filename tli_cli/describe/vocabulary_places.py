"""Where modules and layers stand by their names: around the stages, among them, and within a block."""

from __future__ import annotations

import re
from functools import lru_cache

from tli_cli.describe.vocabulary import without_crossing

TOP_PLACES: dict[str, float] = {
    "embed": 9, "stem": 10, "patch_embed": 10, "stem_norm": 10.5, "token_type": 11, "cls": 12,
    "dist": 12.1, "register": 12.2, "position": 13, "embed_norm": 14,
    "embed_proj": 15, "bias_table": 16, "final_norm": 85, "pooler": 88,
    "head": 90, "head_dist": 91, "logit_scale": 92,
}  # fmt: skip
"""Where the modules around the stages stand; the stages themselves are at 50."""

TOKEN_PLACES: dict[str, tuple[float, float]] = {
    "pre_norm": (0, 0), "q": (1, 10), "qkv": (1, 10), "qk": (1, 10), "q_norm": (1, 11), "sr": (1, 11.5), "kv": (1, 12),
    "k": (1, 12), "k_norm": (1, 13), "v": (1, 14), "qk_scale": (1, 15), "bias_table": (1, 16), "cpb1": (1, 17),
    "cpb2": (1, 18), "attn_norm": (1, 19), "o": (1, 20), "gamma1": (1, 40), "post_attn_norm": (1, 45), "gate": (2, 10),
    "gate_up": (2, 10), "up_gate": (2, 10), "up": (2, 11),
    "fc1": (2, 20), "mlp_norm": (2, 22), "fc2": (2, 24), "post_mlp_norm": (2, 45),
    "gamma2": (2, 50), "gamma": (3, 50), "expand": (1, 10), "dw": (1, 20), "dw_norm": (1, 30), "project": (3, 20),
    "se_reduce": (2, 40), "se_expand": (2, 41), "downsample": (9, 0), "shortcut": (9, 0),
    "cross_norm": (1.5, 5),
}  # fmt: skip
"""(phase, place in it) of the roles within a block."""

CONTEXT_PLACES: dict[str, tuple[float, float]] = {
    "attn": (1, 20), "mlp": (2, 20), "se": (2, 40), "down": (9, 0), "shortcut": (9, 0),
}  # fmt: skip
"""(phase, place in it) of the modules within a block."""

FRONT, VISION, ENCODER, MIDDLE, DECODER = 46.0, 47.0, 48.0, 54.0, 60.0

MODULE_PLACES: tuple[tuple[re.Pattern[str], tuple[float, float]], ...] = (
    (re.compile(r"mlp_tokens?|token_mix\w*|linear_tokens|mlp_t"), (1, 20)),
    (
        re.compile(
            r"\w*cross\w*att(entio)?n\w*|enc(oder)?_?dec(oder)?_?att(entio)?n|encoder_attn|src_attn|memory_attn"
            r"|multihead_attn"
        ),
        (1.5, 20),
    ),
    (re.compile(r"encoder_attn_layer_norm"), (1.5, 5)),
    (re.compile(r"\w*macaron\w*"), (0.5, 0)),
    (re.compile(r"squeeze|dw_start"), (0.5, 0)),
    (re.compile(r"dw_mid"), (1, 20)),
    (re.compile(r"dw_end"), (4, 0)),
    (re.compile(r"cpb_mlp|continuous_position_bias_mlp"), (1, 17)),
    (re.compile(r"attn_block|window_attention"), (1, 20)),
    (re.compile(r"attn_grid|grid_attention"), (1.1, 20)),
    (re.compile(r"feature_(extractor|encoder)|front_?end|subsampl\w*|pre_?encode\w*"), (FRONT, 0)),
    (re.compile(r"(vision|visual|image)(_(model|tower|encoder|trunk|backbone))?"), (VISION, 0)),
    (re.compile(r"enc(oders?)?|downs?(_?(blocks?|path|convs?))?|contract\w*|input_blocks"), (ENCODER, 0)),
    (re.compile(r"mid(dle)?(_\w+)?|bottleneck|bridge|cent(er|re)"), (MIDDLE, 0)),
    (re.compile(r"dec(oders?)?|ups?(_?(blocks?|path|convs?))?|expan(d|s)\w*|output_blocks"), (DECODER, 0)),
    (re.compile(r"attn_?pool\w*|attention_?pool\w*|pooling|map_?head(_?\d+)?"), (86, 0)),
    (re.compile(r"conv_head|(final|last)_(conv|block|stage|unit)|features_mix"), (80, 0)),
)
"""(names, place) of further modules: within a block, or, from 48 on, among the stages."""


@lru_cache(maxsize=65536)
def without_number(name: str) -> str:
    """Return a module's name without the number of its stage: `encoder` of `encoder_level2`."""
    return re.sub(r"(?<=[a-z])(_?(level|stage|layer)s?)?_?[0-9_]*$", "", name)


_TOWERS = re.compile(r"(^|[._])(visual|vision|image)(_\w+)?\.")


def tower(path: str) -> str:
    """Return `vision` for a layer of a tower called so, "" for all others."""
    return "vision" if _TOWERS.search(path.lower()) else ""


_BESIDE = re.compile(r"(^|[._])(te?xt|caption|context|add(ed)?|encoder_(?!att|enc|dec|norm|layer)\w+)\d*(?=[._]|$)")


@lru_cache(maxsize=65536)
def stream(path: str) -> str:
    """Return `text` for a layer that its path within a block puts in the second of two streams that attend to each
    other, "" for all others: an attention to another sequence is no stream.

    >>> stream("txt_attn.qkv"), stream("attn.to_q"), stream("attn.norm_added_q"), stream("context_attention.q")
    ('text', '', 'text', '')
    """
    return "text" if _BESIDE.search(without_crossing(path)) else ""


_MODULATION = re.compile(
    r"(^|[._])(ada_?(ln|layer_?norm|norm)\w*|film)([._]|$)|(^|[._])mod(ulation)?(\.(lin\w*|fc|[0-9]+))?$"
    r"|(^|[._])norm\w*\.(linear|emb)$"
)


@lru_cache(maxsize=65536)
def modulates(path: str) -> bool:
    """Tell whether a layer is named for making the scales and shifts of others' inputs."""
    return bool(_MODULATION.search(path.lower()))


@lru_cache(maxsize=65536)
def flow_place(name: str) -> float:
    """Return where among the stages a module called so stands, if it is an encoder, a middle or a decoder; else 0."""
    bare = without_number(name.lower())
    places = (place[0] for names, place in MODULE_PLACES if names.fullmatch(bare))
    return next((place for place in places if ENCODER <= place <= DECODER), 0.0)


@lru_cache(maxsize=4096)
def module_place(path: str) -> tuple[float, str]:
    """Return where among the stages the modules of a path stand that are named so, 0 for all others, and the tower."""
    found = (place for part in path.lower().split(".") if (place := _stage_place(part)))
    return next(found, 0.0), tower(f"{path}.")


@lru_cache(maxsize=4096)
def module_places(path: str) -> tuple[float, ...]:
    """Return where among the stages the modules of a path stand that are named so, one within the other: the middle of
    an encoder is not its rows of blocks."""
    return tuple(dict.fromkeys(filter(None, map(_stage_place, path.lower().split(".")))))


@lru_cache(maxsize=65536)
def _stage_place(part: str) -> float:
    bare = without_number(part)
    return next((place[0] for names, place in MODULE_PLACES if place[0] >= ENCODER and names.fullmatch(bare)), 0.0)
