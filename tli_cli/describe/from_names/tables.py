"""Axes of tensors that stand beside the projections: vectors, tokens, positions and tables of biases."""

from __future__ import annotations

from collections.abc import Callable

from tli_cli.architecture import AxisTree, Layer
from tli_cli.describe.from_names.flow import Flow
from tli_cli.describe.from_names.heads import Attention


def set_vector(flow: Flow, name: str, tree: AxisTree) -> None:
    """Set the axes of a tensor with one entry for each channel of `tree`, beside axes of size 1."""
    shape = flow.shapes[name]
    own = next((d for d in range(len(shape) - 1, -1, -1) if shape[d] == flow.size(tree)), None)
    flow.set(
        name,
        [
            tree if d == own else (flow.table.leaf(1, "grid") if size == 1 else flow.pooled(size))
            for d, size in enumerate(shape)
        ],
    )


def set_position(flow: Flow, layer: Layer) -> None:
    """Set a position embedding `(1, positions, channels)` or `(positions, channels)`, or a token `(1, 1, channels)`."""
    name = layer.tensors[0][1]
    shape = flow.shapes[name]
    width = shape[-1] if shape else 0
    tree = flow.near(width) if width else None
    if tree is None and flow.current is None and width:
        tree = flow.current = flow.table.leaf(width)
    last = tree if tree is not None else flow.pooled(width)
    alone = len(shape) > 2 and shape[0] == 1
    lead = [flow.table.leaf(s, "grid") if s == 1 else _positions(flow, s, layer) for s in shape[alone:-1]]
    lead = [flow.table.leaf(1), *lead] if alone else lead
    flow.set(name, (*lead, last))
    if not name.endswith(layer.path) and len(shape) == 2:
        flow.summed.add((name, 0))


def _positions(flow: Flow, count: int, layer: Layer) -> AxisTree:
    """Return the tree of `count` positions: a square map after up to two tokens, if it is one; in a text, a row."""
    if layer.kind != "position":
        return flow.table.leaf(count, "grid")
    if layer.path in flow.of_text:
        return flow.table.leaf(count, "vocabulary")
    for tokens in (0, 1, 2):
        side = round(max(count - tokens, 0) ** 0.5)
        if side > 1 and side * side == count - tokens:
            singles = [flow.table.leaf(1, "grid") for _ in range(tokens)]
            return flow.table.summed([*singles, flow.table.multiplied(flow.grid(side * side))])
    return flow.table.leaf(count, "grid")


def _bias_table(flow: Flow, layer: Layer, found: Attention) -> None:
    """Set a table of biases `(positions, heads)` or `(heads, positions)`."""
    name = layer.tensors[0][1]
    shape = flow.shapes[name]
    heads = flow.size(found.heads)
    own = next((d for d in range(len(shape) - 1, -1, -1) if shape[d] == heads), None)
    trees = [found.heads if d == own else _offsets(flow, size) for d, size in enumerate(shape)]
    flow.set(name, trees)
    if not name.endswith(layer.path):
        flow.summed.add((name, 0))


def _offsets(flow: Flow, count: int) -> AxisTree:
    """Return the tree of relative positions: an odd square, after which up to three entries for tokens stand."""
    for extra in (0, 3):
        side = round(max(count - extra, 0) ** 0.5)
        if side > 1 and side % 2 and side * side == count - extra:
            square = flow.table.multiplied(flow.grid(side * side))
            return flow.table.summed([square, flow.table.leaf(extra, "grid")]) if extra else square
    return flow.table.leaf(count, "grid")


def _per_head(flow: Flow, layer: Layer, found: Attention) -> None:
    for _, name in layer.tensors:
        set_vector(flow, name, found.heads)


def _per_head_width(flow: Flow, layer: Layer, found: Attention) -> None:
    width = flow.shapes[layer.tensors[0][1]][-1]
    tree = flow.table.resolve(found.query)
    parts = tree[1:] if isinstance(tree, tuple) else (tree,)
    own = next((t for t in (parts[-1], tree) if flow.size(t) == width), flow.pooled(width))
    for _, name in layer.tensors:
        set_vector(flow, name, own)


BESIDE: dict[str, Callable[[Flow, Layer, Attention], None]] = {
    "bias_table": _bias_table, "qk_scale": _per_head, "q_norm": _per_head_width, "k_norm": _per_head_width,
}  # fmt: skip
