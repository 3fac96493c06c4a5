"""Coupled axes without a graph: the layers are run in thought, block by block, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from tli_cli.architecture import Axis, AxisTree, Layer, Space
from tli_cli.describe.chains import widths
from tli_cli.describe.flow import Flow
from tli_cli.describe.heads import attention, configured_heads, heads_by_shape, projection_sizes
from tli_cli.describe.vocabulary import canonical_role, surroundings
from tli_cli.describe.wiring import ROWS, attention_path, wire

STARTS = {"norm1", "norm2", "norm3", "q", "qkv", "qk", "fc1", "gate", "gate_up"}
BRANCHES = ("branch", "path", "b", "expand", "cv")
HEADS = {"head", "head_dist"}


def infer_spaces(
    layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]
) -> tuple[list[Layer], tuple[Space, ...], dict[str, tuple[Axis, ...]]]:
    """Return the layers with the groups and heads that the chain of shapes tells, the spaces, and the axes by tensor name."""
    flow = Flow(shapes, config)
    stage: str | None = None
    for (block, name), members in groupby(layers, key=lambda layer: (layer.block, layer.stage)):
        if name != stage:
            flow.stage_made, stage = ([flow.current] if flow.current is not None else []), name
        _run_block(flow, block, list(members))
        if flow.current is not None:
            flow.stage_made.append(flow.current)
            flow.history.append(flow.current)
    _mark_classes(flow, layers)
    spaces, axes = _numbered(flow, layers)
    return [_with_groups(flow, layer) for layer in layers], spaces, axes


def _run_block(flow: Flow, block: str, layers: Sequence[Layer]) -> None:
    flow.entry = flow.base = flow.current
    flow.gate = flow.attention_input = flow.mlp_input = None
    flow.made, flow.unused = [], []
    _prepare_attention(flow, layers)
    weighted = [layer for layer in layers if layer.kind in ("conv", "linear")]
    shortcut: AxisTree | None = None
    branch = ""
    for layer in layers:
        inside = layer.path[len(block) + 1 :].split(".")
        around = {surroundings(part) for part in inside}
        if _is_branch(inside[0]) and inside[0] != branch:
            flow.current, branch = flow.entry if branch else flow.current, inside[0]
        if canonical_role(layer.path).removeprefix("cross_") in STARTS:
            flow.base = flow.current
        if around & {"shortcut", "down"} and len(weighted) > 1:
            result, flow.current = flow.current, flow.entry if shortcut is None else shortcut
            wire(flow, layer, gate=False)
            shortcut, flow.current = flow.current, result
        else:
            wire(flow, layer, gate="se" in around)
    target = shortcut if shortcut is not None else flow.entry
    if target is not None and flow.current is not None and len(weighted) > 1:
        flow.table.unite(flow.current, target)


def _is_branch(name: str) -> bool:
    return name.rstrip("0123456789x_").lower() in BRANCHES or name.lower().startswith("branch")


def _prepare_attention(flow: Flow, layers: Sequence[Layer]) -> None:
    """Find the attention modules of a block and the trees of their projections."""
    modules: dict[str, dict[str, Layer]] = {}
    for layer in layers:
        token = canonical_role(layer.path).removeprefix("cross_")
        if token in ROWS or token in ("o", "bias_table", "qk_scale", "q_norm", "k_norm"):
            modules.setdefault(attention_path(layer.path), {}).setdefault(token, layer)
    for path, named in modules.items():
        out = {token: widths(layer, flow.shapes).last for token, layer in named.items() if token in ROWS}
        into = widths(named["o"], flow.shapes).first if "o" in named else 0
        stream = max((widths(named[token], flow.shapes).first for token in out), default=0)
        heads, kv_heads = configured_heads(flow.config, stream)
        sizes = projection_sizes(named, out, into, heads)
        if sizes is None:
            continue
        told = heads_by_shape(named, flow.shapes, sizes)
        flow.attentions[path] = attention(
            flow.table, sizes, told or heads, kv_heads if not told or told == heads else 0
        )


def _mark_classes(flow: Flow, layers: Sequence[Layer]) -> None:
    """Mark the rows of the heads as classes: those that are named so, else the last layer that gives channels nobody takes."""
    weighted = [layer for layer in layers if layer.kind in ("conv", "linear")]
    named = [layer for layer in weighted if canonical_role(layer.path) in HEADS]
    for layer in named or weighted[-1:]:
        name = layer.tensor("weight")
        if name is None or name not in flow.axes:
            continue
        tree = flow.table.resolve(flow.axes[name][1 if layer.attribute("transposed") else 0])
        taken = any(flow.table.resolve(flow.axes[n][d]) == tree for n, d in flow.summed)
        if not taken:
            flow.table.mark(tree, "classes")


def _with_groups(flow: Flow, layer: Layer) -> Layer:
    groups = flow.groups.get(layer.path, 1)
    if layer.kind != "conv" or groups == layer.attribute("groups", 1):
        return layer
    return replace(layer, attributes=tuple(sorted((dict(layer.attributes) | {"groups": groups}).items())))


def _numbered(flow: Flow, layers: Sequence[Layer]) -> tuple[tuple[Space, ...], dict[str, tuple[Axis, ...]]]:
    """Return the spaces that are in use, in the order of the layers, and the axes in terms of them."""
    number: dict[int, int] = {}
    spaces: list[Space] = []

    def renumbered(tree: AxisTree) -> AxisTree:
        if isinstance(tree, tuple):
            return (tree[0], *(renumbered(child) for child in tree[1:]))
        if tree not in number:
            number[tree] = len(spaces)
            spaces.append(Space(flow.table.size(tree), flow.table.kind(tree)))
        return number[tree]

    axes = {
        name: tuple(
            Axis(renumbered(flow.table.resolve(tree)), (name, d) in flow.summed)
            for d, tree in enumerate(flow.axes[name])
        )
        for layer in layers
        for _, name in layer.tensors
        if flow.axes.get(name)
    }
    return tuple(spaces), axes
