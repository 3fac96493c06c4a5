"""What each kind of layer takes from the flow of channels and gives to it."""

from __future__ import annotations

from tli_cli.architecture import LINEAR, AxisTree, Layer
from tli_cli.describe.from_names.chains import widths
from tli_cli.describe.from_names.flow import Flow
from tli_cli.describe.from_names.heads import Attention
from tli_cli.describe.from_names.tables import BESIDE, set_position, set_vector

ROWS = {"q", "k", "v", "qkv", "kv", "qk"}
ENDS = {"o", "fc2"}
GATED = {"gate_up", "up_gate"}
"""Roles of layers that make a gate and what it multiplies in one."""
ROWS_FROM_INPUT = {"k", "v", "kv"}
FROM_INPUT = {*ROWS_FROM_INPUT, "sr"}


def wire(flow: Flow, layer: Layer, gate: bool) -> None:
    """Couple the axes of `layer` with the flow; `gate` tells that it computes weights of the current channels."""
    token = role_of(layer)
    found = flow.attentions.get(attention_path(layer.path))
    if found and token in BESIDE:
        BESIDE[token](flow, layer, found)
    elif layer.kind in LINEAR:
        _weighted(flow, layer, token, gate, found)
    elif layer.kind in ("norm", "scale"):
        _elementwise(flow, layer)
    elif layer.kind == "embedding":
        _embedding(flow, layer, token)
    elif layer.kind in ("position", "token"):
        set_position(flow, layer)
    else:
        _other(flow, layer)


def role_of(layer: Layer) -> str:
    """Return what a layer is for, by its name or by those beside it, whichever sequence it attends to."""
    return str(layer.attribute("role_name", "")).removeprefix("cross_")


def attention_path(path: str) -> str:
    """Return the module that holds an attention's projections: the path up to the projection's own name."""
    parts = path.split(".")
    while len(parts) > 1 and (
        parts[-1] in ("linear", "bn", "ln", "conv", "convolution", "c", "self", "output", "dense", "0")
    ):
        parts.pop()
    inside = [part.endswith(("attention", "attn")) for part in parts[-2:]]
    parts = parts if inside[-1] and inside[:-1] != [True] else parts[:-1]
    while (
        parts and parts[-1] in ("self", "output", "rel_pos", "relative_position_bias", "attention") and len(parts) > 1
    ):
        parts.pop()
    return ".".join(parts)


def rows(flow: Flow, found: Attention, token: str) -> AxisTree:
    """Return the tree of the output rows of a projection."""
    made = {"q": found.query, "k": found.key, "v": found.value}
    if token in made:
        return made[token]
    if token == "qkv" and found.fused is not None:
        return found.fused
    return flow.table.summed([flow.table.resolve(made[part]) for part in token])


def _weighted(flow: Flow, layer: Layer, token: str, gate: bool, found: Attention | None) -> None:
    size = widths(layer, flow.shapes)
    source, inner, groups = _taken(flow, layer, token, size.first, size.last, gate, found)
    outer: AxisTree = flow.table.leaf(size.last)
    if found and token in ROWS:
        flow.table.unite(outer, rows(flow, found, token))
    if groups > 1 and source is not None:
        outer = _grouped_rows(flow, source, inner, groups, size.last)
    flow.groups[layer.path] = groups
    _set_weighted(flow, layer, outer, inner, found)
    if gate:
        _gated(flow, outer, size.last)
        return
    if token in ENDS and flow.size(flow.base) == size.last and flow.base is not None:
        flow.table.unite(outer, flow.base)
    if token == "up" and flow.current is not None:
        flow.table.unite(outer, flow.current)
    if token in ("q", "qkv", "qk", "sr"):
        flow.attention_input = outer if token == "sr" else source
    if token in ("gate", *GATED):
        flow.mlp_input = source
    if token not in ROWS_FROM_INPUT:
        flow.give(outer, source)
    if token in GATED and size.last % 2 == 0:
        half = flow.table.leaf(size.last // 2)
        flow.current = half if flow.table.unite(outer, ("+", half, half)) else outer


def _gated(flow: Flow, outer: AxisTree, size: int) -> None:
    if flow.gate is not None and flow.size(flow.current) == size and flow.current is not None:
        flow.table.unite(outer, flow.current)
        flow.gate = None
    else:
        flow.gate = outer


def _taken(
    flow: Flow, layer: Layer, token: str, wanted: int, out: int, gate: bool, found: Attention | None
) -> tuple[AxisTree | None, AxisTree, int]:
    """Return what the layer takes, the tree of its weight's input axis, and its number of groups."""
    depthwise = int(layer.attribute("groups", 1))
    if flow.current is None:
        return None, flow.table.leaf(wanted // depthwise, "input"), 1
    preferred = [flow.gate] if gate else []
    preferred += [flow.attention_input] if token in FROM_INPUT else []
    preferred += [found.output] if found and token == "o" else []
    preferred += [flow.mlp_input] if token == "up" else []
    source = next((t for t in preferred if t is not None and flow.size(t) == wanted), None)
    source = flow.near(wanted) if source is None else source
    if source is not None:
        return source, flow.table.leaf(1) if depthwise > 1 else source, depthwise
    have = flow.size(flow.current)
    if depthwise > 1:
        return None, flow.table.leaf(1, "channels"), 1 if have < wanted else depthwise
    groups = have // wanted if flow.started and wanted and have % wanted == 0 else 1
    if layer.kind == "conv" and groups > 1 and out % groups == 0 and not layer.attribute("transposed"):
        inner = flow.table.leaf(wanted)
        flow.table.unite(flow.current, flow.table.multiplied([flow.table.leaf(groups), inner]))
        return flow.current, inner, groups
    source = flow.far(wanted)
    flow.misses += 1
    return source, source if source is not None else flow.pooled(wanted), 1


def _grouped_rows(flow: Flow, source: AxisTree, inner: AxisTree, groups: int, out: int) -> AxisTree:
    """Return the output rows of a grouped convolution: the groups of what it takes, times each group's own rows."""
    table = flow.table
    if flow.size(inner) == 1:
        return table.multiplied([table.resolve(source), table.leaf(out // groups)])
    tree = table.resolve(source)
    known = isinstance(tree, tuple) and tree[0] == "*" and table.size(tree[1]) == groups
    group = tree[1] if isinstance(tree, tuple) and known else table.leaf(groups)
    return table.multiplied([group, table.leaf(out // groups)])


def _set_weighted(flow: Flow, layer: Layer, outer: AxisTree, inner: AxisTree, found: Attention | None) -> None:
    transposed = bool(layer.attribute("transposed"))
    for role, name in layer.tensors:
        shape = flow.shapes[name]
        part = role.removeprefix("bias.").partition("_")[0]
        if found and role.startswith("bias.") and part in ROWS:
            set_vector(flow, name, rows(flow, found, part))
        elif len(shape) < 2 or (role != "weight" and not role.startswith(("tied", "weight."))):
            set_vector(flow, name, outer)
        else:
            kernel = tuple(flow.table.leaf(size, "kernel") for size in shape[2:])
            flow.set(name, (inner, outer, *kernel) if transposed else (outer, inner, *kernel))
            flow.summed.update((name, d) for d in (0 if transposed else 1, *range(2, len(shape))))


def _elementwise(flow: Flow, layer: Layer) -> None:
    width = max((max(flow.shapes[name], default=1) for _, name in layer.tensors), default=1)
    tree = flow.near(width) if width > 1 else None
    if tree is None and width > 1:
        tree = flow.far(width)
    if tree is not None:
        flow.current = tree
    for _, name in layer.tensors:
        set_vector(flow, name, tree if tree is not None else flow.pooled(width))


def _embedding(flow: Flow, layer: Layer, token: str) -> None:
    name = layer.tensors[0][1]
    count, width = flow.shapes[name][:2]
    if flow.current is None or flow.size(flow.current) != width or (token == "embed" and flow.history):
        flow.current = flow.table.leaf(width)
    vocabulary = flow.table.leaf(count, "vocabulary")
    for role, tensor in layer.tensors:
        shape = flow.shapes[tensor]
        if role == "bias":
            flow.set(tensor, [vocabulary if size == count else flow.table.leaf(size, "grid") for size in shape])
            continue
        flow.set(tensor, (vocabulary, flow.current) if len(shape) == 2 else (vocabulary,) * len(shape))
        if len(shape) == 2:
            flow.summed.add((tensor, 0))


def _other(flow: Flow, layer: Layer) -> None:
    for _, name in layer.tensors:
        flow.set(name, [flow.table.leaf(1, "grid") if s == 1 else flow.pooled(s) for s in flow.shapes[name]])
