"""Which activations only one of two networks uses: equal tensors then do not give equal outputs."""

from __future__ import annotations

from tli_cli.architecture import Architecture

ACTIVATIONS = {
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid_forward", "mish", "relu",
    "selu", "sigmoid", "silu", "softplus", "softshrink", "tanh",
}  # fmt: skip
"""Operations of the execution graph that change values one by one and have no tensors."""


def changed_activations(source: Architecture, target: Architecture) -> tuple[str, ...]:
    """Return a note on the activations of either side that the other lacks; nothing where a graph is not known."""
    theirs, mine = (ACTIVATIONS.intersection(node.op for node in side.graph) for side in (source, target))
    if not source.graph or not target.graph or theirs == mine:
        return ()
    texts = [", ".join(sorted(only)) or "none" for only in (theirs - mine, mine - theirs)]
    return (f"activations differ: only in the source {texts[0]}; only in the target {texts[1]}",)
