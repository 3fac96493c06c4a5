"""Coupled axes without a graph: the layers are run in thought, block by block, in their order."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from tli_cli.architecture import LINEAR, Axis, AxisTree, Layer, Space
from tli_cli.describe.from_names.chains import widths
from tli_cli.describe.from_names.flow import Flow
from tli_cli.describe.from_names.heads import attention, configured_heads, heads_by_shape, projection_sizes
from tli_cli.describe.from_names.order import inferred_order
from tli_cli.describe.from_names.wiring import ROWS, attention_path, role_of, wire
from tli_cli.describe.last_layers import HEADS, gives_features
from tli_cli.describe.spaces import leaves
from tli_cli.describe.used_spaces import UsedSpaces
from tli_cli.describe.vocabulary import surroundings
from tli_cli.describe.vocabulary_places import tower

STARTS = {"norm1", "norm2", "norm3", "q", "qkv", "qk", "fc1", "gate", "gate_up", "up_gate"}
BRANCHES = ("branch", "path", "b", "expand")


def infer_spaces(
    layers: Sequence[Layer],
    shapes: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    by_head: Collection[str] = (),
) -> tuple[list[Layer], tuple[Space, ...], dict[str, tuple[Axis, ...]], frozenset[int]]:
    """Return the layers with the groups that the chain of shapes tells, the spaces, the axes by tensor name, and those
    of the spaces whose size is a guess that matters; the rows of the fused weights `by_head` stand head by head.

    Where the given order chains worse than the inferred one, the spaces come from that; where it does so in more than
    one place, it is not the order of execution, and the layers are in the inferred one.
    """
    flow = _run(layers, shapes, config, by_head)
    if flow.misses:
        ordered = inferred_order(layers, shapes)
        other = _run(ordered, shapes, config, by_head)
        layers = ordered if other.misses + 1 < flow.misses else layers
        flow = other if other.misses < flow.misses else flow
    spaces, axes, guessed = _numbered(flow, layers)
    return [_with_counts(flow, layer) for layer in layers], spaces, axes, guessed


def _run(
    layers: Sequence[Layer],
    shapes: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    by_head: Collection[str],
) -> Flow:
    flow = Flow(shapes, config, by_head)
    flow.of_text = _positions_of_text(layers)
    stage: str | None = None
    for (block, name), members in groupby(layers, key=_unit):
        if name != stage:
            flow.stage_made, stage = ([flow.current] if flow.current is not None else []), name
        _run_block(flow, block, list(members))
        if flow.current is not None:
            flow.stage_made.append(flow.current)
            flow.history.append(flow.current)
    _mark_classes(flow, layers)
    return flow


def _positions_of_text(layers: Sequence[Layer]) -> frozenset[str]:
    """Return the paths of the tables of positions that stand beside a table of tokens, and of all where one stands
    anywhere, and in the same modules no convolution but those of a tower for images."""
    tokens = {_parent(layer) for layer in layers if layer.kind == "embedding" and role_of(layer) == "embed"}
    convs = [f"{layer.path}." for layer in layers if layer.kind == "conv" and not tower(layer.path)]
    places = [layer for layer in layers if layer.kind == "position"]
    if tokens and all(layer.kind != "conv" for layer in layers):
        return frozenset(layer.path for layer in places)
    plain = {parent for parent in tokens if not any(path.startswith(f"{parent}." if parent else "") for path in convs)}
    return frozenset(layer.path for layer in places if _parent(layer) in plain)


def _parent(layer: Layer) -> str:
    return layer.path.rpartition(".")[0]


def _unit(layer: Layer) -> tuple[str, str]:
    """Return the block and stage in which a layer runs: the branches of a block run in it, not each as its own."""
    parent, _, last = layer.block.rpartition(".")
    return (parent, parent.rpartition(".")[0]) if parent and last.startswith("branch") else (layer.block, layer.stage)


def _run_block(flow: Flow, block: str, layers: Sequence[Layer]) -> None:
    flow.entry = flow.base = flow.current
    flow.gate = flow.attention_input = flow.mlp_input = None
    flow.made, flow.unused = [], []
    _prepare_attention(flow, layers)
    weighted = [layer for layer in layers if layer.kind in LINEAR]
    shortcut: AxisTree | None = None
    fork: AxisTree | None = None
    branch = ""
    ends: list[AxisTree] = []
    for layer in layers:
        inside = layer.path[len(block) + 1 :].split(".")
        around = {surroundings(part) for part in inside}
        if (mine := _branch(inside[0])) and mine != branch:
            if branch and flow.current is not None:
                ends.append(flow.current)
            fork = flow.current if not branch else fork
            flow.current, branch = fork, mine
        token = role_of(layer)
        if token in STARTS and (layer.kind != "norm" or token.startswith("norm")):
            flow.base = flow.current
        if around & {"shortcut", "down"} and len(weighted) > 1:
            result, flow.current = flow.current, flow.entry if shortcut is None else shortcut
            wire(flow, layer, gate=False)
            shortcut, flow.current = flow.current, result
        else:
            wire(flow, layer, gate="se" in around or token.startswith("se_"))
    if ends and flow.current is not None:
        flow.current = flow.table.summed([flow.table.resolve(tree) for tree in (*ends, flow.current)])
    target = shortcut if shortcut is not None else flow.entry
    if target is not None and flow.current is not None and len(weighted) > 1:
        flow.table.unite(flow.current, target)


def _branch(name: str) -> str:
    """Return the name of the branch that a module of a block belongs to: `branch3x3` for `branch3x3_2a`; "" if none."""
    lower = name.lower()
    is_branch = lower.rstrip("0123456789x_") in BRANCHES or lower.startswith("branch")
    return re.sub(r"(?<=\dx\d|[a-z]{3})_\d[a-z]?$", "", lower) if is_branch else ""


def _prepare_attention(flow: Flow, layers: Sequence[Layer]) -> None:
    """Find the attention modules of a block and the trees of their projections."""
    modules: dict[str, dict[str, Layer]] = {}
    for layer in layers:
        token = role_of(layer)
        if token in ROWS or token in ("o", "bias_table", "qk_scale", "q_norm", "k_norm"):
            modules.setdefault(attention_path(layer.path), {}).setdefault(token, layer)
    for path, named in modules.items():
        out = {token: widths(layer, flow.shapes).last for token, layer in named.items() if token in ROWS}
        into = widths(named["o"], flow.shapes).first if "o" in named else 0
        stream = max((widths(named[token], flow.shapes).first for token in out), default=0)
        heads, kv_heads = configured_heads(flow.config, stream)
        sizes = projection_sizes(named, out, into, heads, flow.by_head)
        if sizes is None:
            continue
        told = heads_by_shape(named, flow.shapes, sizes)
        found = attention(flow.table, sizes, told or heads, kv_heads if not told or told == heads else 0)
        flow.attentions[path] = found
        flow.heads |= {named[token].path: told or heads for token in named if told or heads}
        if found.fused is not None and sizes.head_major and not (told or heads):
            flow.guessed.append(found.fused)


def _mark_classes(flow: Flow, layers: Sequence[Layer]) -> None:
    """Mark the rows of the heads as classes: those that are named so, else the last layer's, if no other layer makes or
    takes them, all places of a convolution's map included, and they are no features; gates of a state are none."""
    weighted = [layer for layer in layers if layer.kind in LINEAR and role_of(layer) not in ("ih", "hh")]
    named = [layer for layer in weighted if role_of(layer) in HEADS]
    for layer in named or weighted[-1:]:
        name = layer.tensor("weight")
        if name is None or name not in flow.axes or gives_features(layer.path, *widths(layer, flow.shapes)):
            continue
        tree = flow.table.resolve(flow.axes[name][1 if layer.attribute("transposed") else 0])
        others = [n for a in layers if a is not layer and a.kind in (*LINEAR, "norm") for _, n in a.tensors]
        used = {leaf for name in others for leaf in flow.table.leaves(*flow.axes.get(name, ()))}
        flat = [widths(a, flow.shapes).first for a in weighted if a.kind == "linear" and layer.kind == "conv"]
        if used.isdisjoint(leaves(tree)) and all(taker % flow.size(tree) for taker in flat):
            flow.table.mark(tree, "classes")


def _with_counts(flow: Flow, layer: Layer) -> Layer:
    """Return the layer with its number of groups, and that of heads where something tells it."""
    groups = flow.groups.get(layer.path, 1)
    if layer.kind == "conv" and groups != layer.attribute("groups", 1):
        layer = layer.with_attributes(groups=groups)
    heads = flow.heads.get(layer.path)
    return layer if heads is None else layer.with_attributes(heads=heads)


def _numbered(
    flow: Flow, layers: Sequence[Layer]
) -> tuple[tuple[Space, ...], dict[str, tuple[Axis, ...]], frozenset[int]]:
    """Return the spaces that are in use, in the order of the layers, the axes in terms of them, and the guessed
    ones."""
    trees = {
        name: [flow.table.resolve(tree) for tree in flow.axes[name]]
        for layer in layers
        for _, name in layer.tensors
        if flow.axes.get(name)
    }
    used = UsedSpaces(flow.table, trees)
    return (
        used.spaces,
        used.axes(lambda name, dim: (name, dim) in flow.summed),
        used.numbers_of(flow.table.leaves(*flow.guessed)),
    )
