"""Which layer a learned scale alone acts on: by the graph, or by the roles of both."""

from __future__ import annotations

from collections import defaultdict

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.grouping import grouped

ENDS = {"gamma1": "o", "gamma2": "fc2", "gamma": "fc2"}
"""By the role of a scale that of the layer in its block which it acts on, where names are all that is known."""


def scaled_layers(architecture: Architecture) -> dict[int, int]:
    """Return for each linear map that only a scale reads the place of that scale."""
    if not architecture.graph:
        return _by_role(architecture)
    graph, layers = architecture.graph, architecture.layers
    read: dict[int, set[int]] = defaultdict(set)
    for node, kind, readers in zip(graph, architecture.kinds, architecture.readers, strict=True):
        if kind in LINEAR:
            read[node.layer].update(graph[i].layer if len(graph[i].inputs) == 1 else -1 for i in readers)
    alone = ((linear, max(behind)) for linear, behind in read.items() if len(behind) == 1)
    return {linear: scale for linear, scale in alone if scale >= 0 and layers[scale].kind == "scale"}


def _by_role(architecture: Architecture) -> dict[int, int]:
    layers = architecture.layers
    places = grouped(range(len(layers)), lambda i: (layers[i].block, _role(layers[i])))
    sides = ((places.get((block, ENDS[role]), []), held) for (block, role), held in places.items() if role in ENDS)
    return {ends[0]: scales[0] for ends, scales in sides if len(ends) == len(scales) == 1}


def _role(layer: Layer) -> str:
    role = canonical_role(layer.path)
    return role if (role in ENDS) == (layer.kind == "scale") else ""
