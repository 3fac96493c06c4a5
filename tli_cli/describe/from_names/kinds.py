"""What kind of layer tensors make, by the names and shapes that they have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from tli_cli.describe.vocabulary import canonical_role

PROJECTION = re.compile(r"(\w*_)?proj(ection)?(_matrix)?|onnx::mat_?mul_\d+", re.I)
"""Bare matrices that vectors are multiplied by from the left; what torch calls a weight that it turns for ONNX."""
NORM_NAME = re.compile(r"(^|[._])(\w*norm\w*|bn\w*|ln\w*|gn\d*|\w*_ln|\w*_bn|normalization)(\.\d+)?$", re.I)
TABLE_NAMES: tuple[tuple[str, str], ...] = (
    ("other", r"relative_position_index|\w*_idxs?|position_ids|relative_coords_table|\w*mask(?!_token)|inv_freq"
          r"|\w*anchors?|masked_bias|ignore\w*"),
    ("token", r"(\w*_)?(cls|class|dist|distillation|mask|reg|register|storage|probe|latent|query)_?(tokens?"
              r"|embed(ding)?)s?|latent|probe"),
    ("position", r"\w*pos(ition)?(al)?_?(embed\w*|emb|embd|enc\w*|bias\w*)\w*|embed_pos\w*|pos|wpe"
                 r"|(?!lin|proj|fc)\w*_pos"
                 r"|relative_(position|attention)_bias\w*"
                 r"|rel_pos\w*|rel_embedding|attention_biases|rel_height|rel_width|(height|width)_rel"),
    ("scale", r"(\w*_)?(gamma\w*|lambda\w*|layer_?scale\w*|logit_scale|scale|ls\d?|temperature|gain"
              r"|skipinit_gain|tau|alpha)"),
)  # fmt: skip
EMBEDDING_NAME = re.compile(
    r"(?!un_?embed)(wte|wpe|shared|(tok|word)\w*embedder|\w*embed(ding|dings|_tokens|_in|_positions)?s?|\w*embd?"
    r"|\w*embeds?_\w+|\w*embedding_table|relative_attention_bias)$",
    re.I,
)
_TABLES = tuple((kind, re.compile(names, re.I)) for kind, names in TABLE_NAMES)


def kind_of(path: str, roles: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the kind of the layer at `path` that holds tensors of these `roles`."""
    last = path.rpartition(".")[2]
    shape = shapes[roles.get("weight") or next(iter(roles.values()))]
    if "running_mean" in roles:
        return "norm"
    if list(roles) == ["weight"] and (roles["weight"] == path or len(shape) == 2):
        kind = table_kind(last)
        if kind and (kind != "scale" or roles["weight"] == path):
            return kind
    if roles.get("weight") == path:
        if len(shape) == 3 and shape[0] == 1 < min(shape[1:]):
            return "position"
        if len(shape) == 2 and PROJECTION.fullmatch(last):
            return "linear"
        return "scale" if len(shape) <= 1 or sum(d > 1 for d in shape) <= 1 else "other"
    if list(roles) == ["bias"] and len(shape) > 1:
        return "other"  # a mask, as GPT-2's attention keeps it
    long = sum(size > 1 for size in shape)
    if is_norm_name(path) and "weight" in roles and long <= 1:
        return "norm"
    if long == 1 and (shapes.get(roles.get("bias", "")) == shape or roles.get("weight", "").endswith(".g")):
        return "norm"
    if len(shape) >= 3:
        return "conv"
    if len(shape) == 2:
        named = EMBEDDING_NAME.fullmatch(last) or canonical_role(path) == "embed"
        return "embedding" if "bias" not in roles and named else "linear"
    return "norm" if "weight" in roles and long == 1 else "other"


@lru_cache(maxsize=4096)
def table_kind(name: str) -> str:
    """Return what kind of table or vector is called so; "" if none is."""
    return next((kind for kind, pattern in _TABLES if pattern.fullmatch(name)), "")


def is_norm_name(path: str) -> bool:
    """Tell whether a path is a norm's."""
    return _names_norm(path[path.rfind(".", 0, max(path.rfind("."), 0)) + 1 :])


@lru_cache(maxsize=4096)
def _names_norm(ending: str) -> bool:
    """Tell whether the last two parts of a path are a norm's."""
    return NORM_NAME.search(ending) is not None


def norm_kind(path: str, roles: Mapping[str, str]) -> str:
    """Return what a norm averages over, by its name and roles."""
    if "running_mean" in roles:
        return "batch"
    if re.search(r"(^|[._])(gn\d*|group_?norm\w*)$", path, re.I):
        return "group"
    return "layer" if "bias" in roles else "rms"
