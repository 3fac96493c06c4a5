"""Layers that start by giving nothing, right before what passes no gradient back where it is given nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.walks import walked
from tli_cli.plan import Step

FLAT, AJAR = ("relu", "hardtanh"), "1e-12"
"""Operations of the execution graph whose slope at zero is taken to be zero, and how a bias starts before such in place
of zero: nothing beside what it is added to, and yet above it."""


def left_ajar(steps: Sequence[Step], target: Architecture) -> list[Step]:
    """Return `steps`; the bias of a layer that gives nothing is a little above zero where it would learn nothing."""
    zero = {step.target for step in steps if step.action == "keep" and step.initial == "zeros"}
    places = [i for i, layer in enumerate(target.layers) if {layer.tensor("weight"), layer.tensor("bias")} <= zero]
    ends = [node.layer for i, node in enumerate(target.graph) if node.layer in places and _is_shut(target, i)]
    shut = {target.layers[place].tensor("bias") for place in ends}
    return [replace(step, initial=AJAR) if step.target in shut else step for step in steps]


def _is_shut(target: Architecture, index: int) -> bool:
    """Tell whether what a node gives is `FLAT` at zero before anything else is joined to it."""
    graph, readers = target.graph, target.readers
    behind = walked(readers[index], lambda i: readers[i] if len(graph[i].inputs) == 1 and graph[i].layer < 0 else ())
    return any(graph[i].op in FLAT for i in behind)
