"""Attention without a graph: how many heads there are, and which axes of the projections run over them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tli_cli.architecture import AxisTree, Layer
from tli_cli.describe.spaces import SpaceTable

HEAD_KEYS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads", "attention_heads",
             "heads")  # fmt: skip
KV_KEYS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "n_query_groups", "num_query_groups",
           "multi_query_group_num")  # fmt: skip
WIDTH_KEYS = ("hidden_size", "n_embd", "d_model", "dim", "embed_dim", "width")
HEAD_WIDTH_KEYS = ("head_dim", "head_width", "head_size", "kv_channels")
FUSED: tuple[tuple[re.Pattern[str], bool], ...] = (
    (re.compile(r"(^|\.)transformer\.encoder\.layers\.\d+\.self_attention\.query_key_value\."), False),
    (re.compile(r"(query_key_value|linear_qkv|attn\.attn)\."), True),
    (re.compile(r"(^|\.)model\.layers\.\d+\.attention\.wqkv\."), True),
    (re.compile(r"(^|\.)(input_blocks\.\d+|middle_block|output_blocks\.\d+)\.\d+\.qkv\."), True),
)
"""Names of fused projections, and whether their rows stand head by head, or group by group; the first that fits
decides: ChatGLM (`modeling_chatglm.py`); Megatron, GPT-NeoX, Falcon, Megatron Core
(`megatron/core/transformer/attention.py`), lit-gpt; InternLM2 (`modeling_internlm2.py`);
guided diffusion (`QKVAttentionLegacy` in `unet.py`, the default)."""
USUAL_WIDTH = 64
"""The width of a head in most published transformers: taken where nothing tells it."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Trees of one attention module's projections: query, key and value rows, what `o` sums over, and the heads."""

    query: AxisTree
    key: AxisTree
    value: AxisTree
    output: AxisTree
    heads: AxisTree
    fused: AxisTree | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of one attention module's projections; `fused` is the width of a fused one, 0 if there is none."""

    query: int
    key: int
    value: int
    output: int
    fused: int = 0
    head_major: bool = False


def _first(config: Mapping[str, Any], keys: Sequence[str]) -> int:
    return next((config[key] for key in keys if isinstance(config.get(key), int)), 0)


def configured_heads(config: Mapping[str, Any], width: int) -> tuple[int, int]:
    """Return the heads of queries and of keys that the configuration gives for a stream of `width`; 0 where unknown."""
    known = [part for part in _parts(config) if _heads(part)]
    fitting = [part for part in known if _first(part, WIDTH_KEYS) == width] or known[:1]
    if not fitting:
        return 0, 0
    heads = _heads(fitting[0])
    return heads, _first(fitting[0], KV_KEYS) or heads


def configured_head_width(config: Mapping[str, Any]) -> int:
    """Return the width of a head that the configuration gives; 0 where unknown, or where its parts differ."""
    found = set()
    for part in _parts(config):
        width, heads = _first(part, WIDTH_KEYS), _heads(part)
        found |= {_first(part, HEAD_WIDTH_KEYS) or (width // heads if heads else 0)} - {0}
    return found.pop() if len(found) == 1 else 0


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a configuration and those within it."""
    yield config
    for part in config.values():
        if isinstance(part, Mapping):
            yield from _parts(part)


def _heads(config: Mapping[str, Any]) -> int:
    told = _first(config, HEAD_KEYS)
    head, width = _first(config, HEAD_WIDTH_KEYS), _first(config, WIDTH_KEYS)
    return told or (width // head if head else 0)


def stands_by_head(name: str) -> bool:
    """Tell whether a tensor's whole name says that it is a fused projection whose rows stand head by head."""
    return next((by_head for pattern, by_head in FUSED if pattern.search(name)), False)


def heads_by_shape(layers: Mapping[str, Layer], shapes: Mapping[str, tuple[int, ...]], sizes: Sizes) -> int:
    """Return the number of heads that bias tables, scales or norms within the attention tell; 0 if none does."""
    for token, layer in layers.items():
        shape = shapes[layer.tensors[0][1]]
        if token == "bias_table" and len(shape) == 2:
            return min(shape) if not sizes.output or sizes.output % shape[1] else shape[1]
        if token == "qk_scale" and shape and shape[0] > 1:
            return shape[0]
        if token in ("q_norm", "k_norm") and shape and sizes.query % shape[0] == 0 and shape[0] < sizes.query:
            return sizes.query // shape[0]
    return 0


def projection_sizes(
    layers: Mapping[str, Layer], out: Mapping[str, int], output: int, heads: int, by_head: Collection[str]
) -> Sizes | None:
    """Return the widths of query, key and value from those of the projections there are; the rows of the weights
    `by_head` stand head by head."""
    if "qkv" in out:
        total = out["qkv"]
        width = output or total // 3
        head_major = layers["qkv"].tensor("weight") in by_head
        if (total - width) % 2 and 2 * width < total < 3 * width:  # one score weighs all keys (arXiv 2206.02680)
            return Sizes(total - 2 * width, width, width, width, total)
        if total == 3 * width or width < total < 3 * width:
            small = (total - width) // 2
            per_head = total != 3 * width and heads and layers["qkv"].path.endswith(".linear")
            return (
                Sizes(small, small, width, width, total, True)
                if per_head
                else Sizes(width, small, small, output, total, head_major)
            )
        return None
    query = out.get("q") or out.get("qk", 0) // 2
    key = out.get("k") or out.get("kv", 0) // 2 or out.get("qk", 0) // 2
    value = out.get("v") or out.get("kv", 0) // 2
    return Sizes(query, key, value, output) if query and key else None


def attention(table: SpaceTable, sizes: Sizes, heads: int, kv_heads: int) -> Attention:
    """Return the trees of an attention of `heads` query heads, each group of which shares one of `kv_heads` keys."""
    value_width = max(sizes.value, 1)
    if not heads or sizes.query % heads or sizes.output % max(heads, 1):
        heads = max(sizes.query // USUAL_WIDTH, 1) if sizes.query % USUAL_WIDTH == 0 else 1
    if sizes.key < sizes.query and sizes.query % sizes.key == 0 and heads % (sizes.query // sizes.key):
        heads = sizes.query // sizes.key
    kv_heads = kv_heads if sizes.key < sizes.query and kv_heads else heads
    if sizes.key < sizes.query and kv_heads == heads:
        kv_heads = max(sizes.key * heads // sizes.query, 1)
    if sizes.key % kv_heads or value_width % kv_heads or heads % kv_heads:
        heads = kv_heads = 1
    fits = sizes.key // kv_heads == sizes.query // heads
    group = table.leaf(kv_heads, "heads")
    repeat = table.leaf(heads // kv_heads, "heads")
    width = table.leaf(sizes.query // heads, "head_width")
    equal = sizes.fused and sizes.query == sizes.key == sizes.value
    value = width if equal else table.leaf(value_width // kv_heads, "head_width")
    key = width if fits else table.leaf(sizes.key // kv_heads, "head_width")
    made = table.multiplied
    trees = (made([group, repeat, width]), made([group, key]), made([group, value]), made([group, repeat, value]))
    fused: AxisTree | None = table.summed(trees[:3]) if sizes.fused else None
    if sizes.fused and sizes.head_major:
        inner: AxisTree = (
            table.multiplied([table.summed([table.leaf(1) for _ in range(3)]), width])
            if equal
            else table.summed([made([repeat, width]), key, value])
        )
        fused = table.multiplied([group, inner]) if heads > 1 else inner
    return Attention(*trees, table.multiplied([group, repeat]), fused)
