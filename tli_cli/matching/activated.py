"""Which activations stand around a layer: what it reads has passed some, and what it writes passes others."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.architecture import Architecture, Node

ACTIVATIONS = frozenset({
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid_forward", "mish", "relu",
    "selu", "sigmoid", "silu", "softplus", "softshrink", "tanh",
})  # fmt: skip
"""Operations of the execution graph that change values one by one and have no tensors."""

IDEMPOTENT = ("relu", "hardtanh", "relu6")
"""Activations that change nothing when they are applied twice."""

OTHER_ACTIVATION = 0.98
"""What a layer keeps of its worth where another activation stands before it or behind it."""

Chain = tuple[str, ...]
UNKNOWN = -1
_NUMBERS: dict[object, int] = {}


def activation_numbers(architecture: Architecture) -> dict[int, int]:
    """Return for each layer that stands in the graph, by place, a number of the activations around it: equal numbers
    for equal ones."""
    graph = architecture.graph
    before, behind = _before(graph), _behind(graph, architecture.readers)
    found: dict[int, int] = {}
    for i, node in enumerate(graph):
        if node.layer >= 0:
            around = (before[node.inputs[0]] if node.inputs else (), frozenset(behind[i]))
            found.setdefault(node.layer, _NUMBERS.setdefault(around, len(_NUMBERS)))
    return found


def activation_keeping(first: int, second: int) -> float:
    """Return what a layer keeps where the activations around it and around its partner have these numbers."""
    return OTHER_ACTIVATION if first != second and first != UNKNOWN != second else 1.0


def _before(graph: Sequence[Node]) -> list[Chain]:
    """Return the activations that the value of each node has passed since the last layer or join."""
    found: list[Chain] = []
    for node in graph:
        passed = found[node.inputs[0]] if len(node.inputs) == 1 and node.layer < 0 else ()
        again = passed[-1:] == (node.op,) and node.op in IDEMPOTENT
        found.append((*passed, node.op) if node.op in ACTIVATIONS and not again else passed)
    return found


def _behind(graph: Sequence[Node], readers: Sequence[Sequence[int]]) -> list[frozenset[Chain]]:
    """Return the activations that the value of each node passes before the next layers or joins, a chain for each."""
    found: list[frozenset[Chain]] = [frozenset()] * len(graph)
    for i in reversed(range(len(graph))):
        chains: set[Chain] = set()
        for reader in readers[i]:
            node = graph[reader]
            if node.layer >= 0 or len(node.inputs) > 1:
                chains.add(())
            elif node.op in ACTIVATIONS:
                again = node.op in IDEMPOTENT
                later = found[reader]
                chains |= {chain if again and chain[:1] == (node.op,) else (node.op, *chain) for chain in later}
            else:
                chains |= found[reader]
        found[i] = frozenset(chains) or frozenset({()})
    return found
