"""What tensors do not tell of a layer: the activations around it, its stride, and how its channels are cut."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.architecture import Architecture, Layer, Node
from tli_cli.describe.spaces import leaves

ACTIVATIONS = frozenset({
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid_forward", "mish", "relu",
    "selu", "sigmoid", "silu", "softplus", "softshrink", "tanh",
})  # fmt: skip
"""Operations of the execution graph that change values one by one and have no tensors."""

IDEMPOTENT = ("relu", "hardtanh", "relu6")
"""Activations that change nothing when they are applied twice."""

TOLD = ACTIVATIONS | {"max_pool"}
"""What counts as standing around a layer; means over places are left out, which some code writes without an operation
of their own."""

OTHER_SETTING = 0.98
"""What a layer keeps of its worth whose partner is set otherwise."""

Chain = tuple[str, ...]
UNKNOWN = -1
_NUMBERS: dict[object, int] = {}


def setting_numbers(
    architecture: Architecture, mains: Sequence[str | None], attending: frozenset[int]
) -> dict[int, int]:
    """Return for each layer in the graph, by place, a number of how it is set: the same for layers set alike.

    Args:
        architecture: traced, or nothing is known.
        mains: the name of each layer's main tensor.
        attending: the layers whose channels are heads'.
    """
    graph = architecture.graph
    before, behind = _before(graph), _behind(graph, architecture.readers)
    found: dict[int, int] = {}
    for i, node in enumerate(graph):
        if node.layer < 0 or node.layer in found:
            continue
        layer = architecture.layers[node.layer]
        is_cut = node.layer in attending or layer.attribute("norm") == "group"
        cut = _cut(architecture, mains[node.layer]) if is_cut else 0
        if cut is not None:
            around = before[node.inputs[0]] if node.inputs else (), behind[i]
            found[node.layer] = _NUMBERS.setdefault((*around, _stride(layer), cut), len(_NUMBERS))
    return found


def setting_keeping(first: int, second: int) -> float:
    """Return what a layer keeps where it and its partner are set as these numbers say."""
    return OTHER_SETTING if first != second and first != UNKNOWN != second else 1.0


def _stride(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return stride and dilation; nothing of a patch, whose stride is its kernel, and of ones."""
    stride, dilation = (tuple(layer.attribute(name, ())) for name in ("stride", "dilation"))
    patch = stride == tuple(layer.attribute("kernel", ()))
    return (() if patch or set(stride) <= {1} else stride), (() if set(dilation) <= {1} else dilation)


def _cut(architecture: Architecture, main: str | None) -> int | None:
    """Return how many heads or groups the channels of a layer are cut into; None where that is guessed."""
    tree = next(iter(architecture.made(main)), None)
    if tree is None or architecture.guessed.intersection(leaves(tree)):
        return None
    while isinstance(tree, tuple):
        if tree[0] == "*":
            return architecture.size_of(tree[1])
        tree = tree[1]
    return 1


def _before(graph: Sequence[Node]) -> list[Chain]:
    """Return what the value of each node has passed since the last layer or join."""
    found: list[Chain] = []
    for node in graph:
        passed = found[node.inputs[0]] if len(set(node.inputs)) == 1 and node.layer < 0 else ()
        again = passed[-1:] == (node.op,) and node.op in IDEMPOTENT
        found.append((*passed, node.op) if node.op in TOLD and not again else passed)
    return found


def _behind(graph: Sequence[Node], readers: Sequence[Sequence[int]]) -> list[frozenset[Chain]]:
    """Return what the value of each node passes before the next layers or joins, a chain for each."""
    found: list[frozenset[Chain]] = [frozenset()] * len(graph)
    for i in reversed(range(len(graph))):
        chains: set[Chain] = set()
        for reader in readers[i]:
            node, later = graph[reader], found[reader]
            if node.layer >= 0 or len(set(node.inputs)) > 1:
                chains.add(())
            elif node.op in TOLD:
                again = node.op in IDEMPOTENT
                chains |= {chain if again and chain[:1] == (node.op,) else (node.op, *chain) for chain in later}
            else:
                chains |= later
        found[i] = frozenset(chains) or frozenset({()})
    return found
