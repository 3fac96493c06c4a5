"""Which places code takes alone: before what is done at each place that comes to the same as behind it."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.architecture import LINEAR, Architecture, Layer, Node
from tli_cli.describe.spaces import leaves
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.noted import PICKED, Number

EACH = ACTIVATIONS | {"add", "sub", "rsub", "neg", "clamp", "clamp_min", "pow", "abs", "exp", "sqrt"}
"""Words for what is done to each value for itself."""

PLACES = ("grid", "batch", "kernel")


def settled(code: Sequence[Number]) -> tuple[tuple[Number, ...], tuple[Number, ...]] | None:
    """Return what `code` does to values and which places it takes, in an order that comes to the same with the latter
    last; None if nothing tells of one."""
    late, rest = (tuple(n for n in code if (n[0] == PICKED) is taken) for taken in (True, False))
    return (rest, late) if tuple(code) == rest + late or all(number[0] in EACH for number in rest) else None


def passes(architecture: Architecture, node: Node) -> bool:
    """Tell whether a node makes the same of some places alone, whichever are taken before it or behind it."""
    if node.layer < 0:
        return node.op in ("add", "mul", "part") or node.op in ACTIVATIONS
    layer = architecture.layers[node.layer]
    apart = layer.kind in LINEAR and {*layer.attribute("kernel", ()), *layer.attribute("stride", ())} <= {1}
    return (apart or layer.attribute("norm") in ("layer", "rms")) and _holds_no_places(architecture, layer)


def _holds_no_places(architecture: Architecture, layer: Layer) -> bool:
    trees = (axis.tree for _, name in layer.tensors for axis in architecture.axes.get(name, ()))
    spaces = (architecture.spaces[leaf] for tree in trees for leaf in leaves(tree))
    return all(space.kind not in PLACES or space.size == 1 for space in spaces)
