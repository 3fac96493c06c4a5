"""Layers of which no two graphs tell."""

from __future__ import annotations

from tli_cli.architecture import Architecture
from tli_cli.matching.values import Matching


def loose_places(matching: Matching, target: Architecture, source: Architecture) -> frozenset[int]:
    """Return the target's layers, by place, that are paired and of which no two graphs tell: all where one side has
    none, else those that one is only assumed to hold, such as what is around a network that was recognised."""
    if not (target.graph and source.graph):
        return frozenset(pair.target.place for pair in matching.pairs)
    sides = [(p.target.place, target.layers[p.target.place], source.layers[p.source.place]) for p in matching.pairs]
    return frozenset(place for place, *layers in sides if any(layer.attribute("assumed") for layer in layers))
