"""Which layer each scale of channels acts on, such as the layer scales of CaiT (arXiv 2103.17239)."""

from __future__ import annotations

from collections import defaultdict

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.describe.vocabulary import canonical_role

ENDS = {"gamma1": "o", "gamma2": "fc2", "gamma": "fc2"}
"""By the role of a scale that of the layer in its block which it acts on, where names are all that is known."""


def scaled_layers(architecture: Architecture) -> dict[int, int]:
    """Return for each linear map that only a scale reads the place of that scale."""
    if not architecture.graph:
        return _by_role(architecture)
    graph, layers = architecture.graph, architecture.layers
    read: dict[int, set[int]] = defaultdict(set)
    for node, readers in zip(graph, architecture.readers, strict=True):
        if node.layer >= 0 and layers[node.layer].kind in LINEAR:
            read[node.layer].update(graph[i].layer if len(graph[i].inputs) == 1 else -1 for i in readers)
    alone = ((linear, max(behind)) for linear, behind in read.items() if len(behind) == 1)
    return {linear: scale for linear, scale in alone if scale >= 0 and layers[scale].kind == "scale"}


def _by_role(architecture: Architecture) -> dict[int, int]:
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, layer in enumerate(architecture.layers):
        places[layer.block, _role(layer)].append(place)
    found: dict[int, int] = {}
    for (block, role), scales in places.items():
        ends = places.get((block, ENDS.get(role, "")), [])
        if role in ENDS and len(scales) == len(ends) == 1:
            found[ends[0]] = scales[0]
    return found


def _role(layer: Layer) -> str:
    role = canonical_role(layer.path)
    return role if (role in ENDS) == (layer.kind == "scale") else ""
