"""A fresh head that reads what no norm has brought to one size."""

from __future__ import annotations

from tli_cli.architecture import LINEAR, Architecture
from tli_cli.describe.walks import walked
from tli_cli.plan import EDITED, Plan

METHODS = ("auto", "fit")
"""The methods that say how large a fresh head starts; all others leave it to its constructor."""
BOUNDED = ("tanh", "sigmoid", "hardsigmoid", "softmax")
"""What gives values of one size, as norms do."""


def bare_head(plan: Plan, target: Architecture) -> str | None:
    """Return the weight of the only head of `target`, where it starts as its constructor starts it and reads, past no
    norm, a linear map that is fed from a source; None where there is none such."""
    if plan.method not in METHODS or EDITED in plan.notes:
        return None
    linear = [i for i, node in enumerate(target.graph) if node.layer >= 0 and _weight(target, i)]
    heads = [
        i for i in linear if all(target.graph[j].layer < 0 or j == i for j in walked([i], target.readers.__getitem__))
    ]
    if len(heads) != 1:
        return None
    head = _weight(target, heads[0])
    steps = plan.by_target
    fresh = head in steps and steps[head].action == "keep" and steps[head].initial == "constructor"
    read = [_weight(target, i) for i in walked(target.graph[heads[0]].inputs, lambda i: _before(target, i))]
    return head if fresh and any(name and steps[name].action == "transfer" for name in read) else None


def _weight(target: Architecture, index: int) -> str:
    """Return the weight of the linear map at a node of the graph; empty where it is none."""
    layer = target.layers[target.graph[index].layer] if target.graph[index].layer >= 0 else None
    return (layer.tensor("weight") or "") if layer is not None and layer.kind in LINEAR else ""


def _before(target: Architecture, index: int) -> tuple[int, ...]:
    """Return what a node reads; nothing of linear maps, and of what gives values of one size."""
    node = target.graph[index]
    kind = target.layers[node.layer].kind if node.layer >= 0 else ""
    return () if kind in (*LINEAR, "norm") or node.op in BOUNDED else node.inputs
