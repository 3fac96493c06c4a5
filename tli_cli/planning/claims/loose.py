"""Layers of which no two graphs tell."""

from __future__ import annotations

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.matching.values import Matching


def loose_places(matching: Matching, target: Architecture, source: Architecture) -> frozenset[int]:
    """Return the target's layers, by place, that are paired and of which no two graphs tell: all where one side has
    none, else those that one is only assumed to hold, such as what is around a network that was recognised, and those
    that no code has run, unless they are described as others are that it has or stand in no module, as mask tokens."""
    if not (target.graph and source.graph):
        return frozenset(pair.target.place for pair in matching.pairs)
    sides = [(p.target.place, target.layers[p.target.place], source.layers[p.source.place]) for p in matching.pairs]
    run, known = target.run, {leaf for place in target.run for leaf in _spaces(target, place)}
    return frozenset(
        place
        for place, *layers in sides
        if any(layer.attribute("assumed") for layer in layers)
        or (place not in run and layers[0].path != layers[0].tensors[0][1] and not _spaces(target, place) <= known)
    )


def _spaces(architecture: Architecture, place: int) -> set[int]:
    """Return what the tensors of a layer run over."""
    axes = (architecture.axes.get(name, ()) for _, name in architecture.layers[place].tensors)
    return {leaf for held in axes for axis in held for leaf in leaves(axis.tree)}
