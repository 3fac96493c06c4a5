"""Which weights of a bare file are `(in, out)`: biases tell, or what layers are called that take or give the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tli_cli.architecture import Layer

Shapes = Mapping[str, tuple[int, ...]]

TAKE = {"q", "k", "v", "qkv", "kv", "gate", "up", "gate_up", "up_gate", "fc1", "head"}
GIVE = {"o", "fc2"}
"""Roles of layers that take what flows through the network, and that give it."""


def transposed(layers: Sequence[Layer], shapes: Shapes) -> list[Layer]:
    """Mark the layers whose weight is `(in, out)`: only so does the bias fit, or do most linear layers' biases; without
    biases only so does one take or give the width of the tables or of the norms, and none does otherwise."""
    layers = [_transposed_convolution(layer, shapes) for layer in layers]
    fits: Counter[str] = Counter()
    turned, plain = set[str](), list[Layer]()
    for layer in layers:
        weight, bias = layer.tensor("weight"), layer.tensor("bias")
        if layer.kind != "linear" or weight is None or len(shapes[weight]) != 2:
            continue
        if bias is None:
            plain += [] if weight == layer.path else [layer]
            continue
        out, inner = shapes[weight]
        size = shapes[bias][0] if shapes[bias] else 0
        turned |= {layer.path} if not _only_upright(layer, shapes) else set()
        fits["yes"] += size == inner != out
        fits["no"] += size == out != inner
    turned = turned if fits["yes"] > fits["no"] else set()
    if turned or not fits.total():
        width = _width(layers, shapes)
        said = {found for layer in plain if width and (found := _is_turned(layer, shapes, width)) is not None}
        turned |= {layer.path for layer in plain} if said == {True} else set()
    return [layer.with_attributes(transposed=True) if layer.path in turned else layer for layer in layers]


def _width(layers: Sequence[Layer], shapes: Shapes) -> int:
    """Return how wide all tables of tokens are or, where there are none, all norms; 0 if they differ."""
    held = [(layer.kind, shapes[name]) for layer in layers for role, name in layer.tensors if role == "weight"]
    tables = {shape[-1] for kind, shape in held if kind == "embedding"}
    found = tables or {max(shape, default=0) for kind, shape in held if kind == "norm"}
    return found.pop() if len(found) == 1 else 0


def _is_turned(layer: Layer, shapes: Shapes, width: int) -> bool | None:
    """Tell whether a layer takes or gives `width` as it should only if its weight is turned; None if that is open."""
    first, last = shapes[layer.tensor("weight") or ""]
    role = str(layer.attribute("role_name", "")).removeprefix("cross_")
    taken, given = (last, first) if role in TAKE else (first, last) if role in GIVE else (0, 0)
    return None if taken == given or width not in (taken, given) else given == width


def _transposed_convolution(layer: Layer, shapes: Shapes) -> Layer:
    weight, bias = layer.tensor("weight"), layer.tensor("bias")
    if layer.kind != "conv" or weight is None or bias is None or layer.attribute("groups", 1) > 1:
        return layer
    is_turned = shapes[bias][:1] == shapes[weight][1:2] != shapes[weight][:1]
    return layer.with_attributes(transposed=True) if is_turned else layer


def _only_upright(layer: Layer, shapes: Shapes) -> bool:
    weight, bias = layer.tensor("weight"), layer.tensor("bias")
    return weight is None or bias is None or shapes[weight][1] != shapes[bias][0]
