"""Which layers make the queries of an attention, by the execution graph."""

from __future__ import annotations

from tli_cli.architecture import Architecture

FAR = 24
"""How many nodes back from a product its queries are looked for."""


def attending_layers(architecture: Architecture) -> frozenset[int]:
    """Return the layers that make the left side of a product of two values, as attention's queries are."""
    graph = architecture.graph
    found = set()
    for node in graph:
        if node.op == "matmul" and len(node.inputs) == 2:
            at = node.inputs[0]
            for _ in range(FAR):
                if graph[at].layer >= 0 or not graph[at].inputs:
                    break
                at = graph[at].inputs[0]
            found.add(graph[at].layer)
    return frozenset(found - {-1})
