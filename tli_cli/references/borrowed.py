"""The axes of tensors that names do not tell, taken from the same tensors of a network that was run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tli_cli.architecture import Architecture, AxisTree, Layer
from tli_cli.describe.spaces import leaves, with_leaves
from tli_cli.matching.units import main_tensor, units_of


def with_axes_of(
    bare: Architecture, known: Architecture, like: Mapping[str, str], streams: Mapping[str, str]
) -> Architecture:
    """Return `bare` with kinds and axes of tensors as `known` has them, those of one shape in both.

    `like` gives the name in `known` of each of these tensors, `streams` that of vectors whose channels are the same.
    """
    alike = {name: other for name, other in like.items() if bare.by_name[name].shape == known.by_name[other].shape}
    found = {name: known.axes[other] for name, other in alike.items() if other in known.axes}
    shared = _shared(bare, known, streams)
    new = sorted({leaf for axes in found.values() for axis in axes for leaf in leaves(axis.tree)} - shared.keys())
    own = shared | {leaf: len(bare.spaces) + i for i, leaf in enumerate(new)}
    spaces = (*bare.spaces, *(known.spaces[leaf] for leaf in new))
    axes = {
        name: tuple(replace(axis, tree=with_leaves(axis.tree, own.__getitem__)) for axis in known_axes)
        for name, known_axes in found.items()
    }
    looks = {other: name for name, other in alike.items() if name in axes}
    kinds = {looks[name]: layer.kind for layer in known.layers for _, name in layer.tensors if name in looks}
    mains = ((main_tensor(known.layers[unit.place]), unit.parts) for unit in units_of(known))
    cuts = {looks[name]: parts for name, parts in mains if name in looks}
    layers = tuple(_as_known(layer, kinds, cuts) for layer in bare.layers)
    return replace(bare, layers=layers, spaces=spaces, axes={**bare.axes, **axes})


def _shared(bare: Architecture, known: Architecture, streams: Mapping[str, str]) -> dict[int, AxisTree]:
    """Return what the spaces of `known` that vectors run over are in `bare`."""
    pairs = ((known.axes.get(other, ()), bare.axes.get(name, ())) for name, other in streams.items())
    return {
        theirs[-1].tree: mine[-1].tree for theirs, mine in pairs if theirs and mine and isinstance(theirs[-1].tree, int)
    }


def _as_known(layer: Layer, kinds: Mapping[str, str], cuts: Mapping[str, int]) -> Layer:
    """Return a layer with the kind of the known one, and cut in as many parts as that is."""
    name = next((name for _, name in layer.tensors if name in kinds), None)
    return layer if name is None else replace(layer, kind=kinds[name]).with_attributes(cut=cuts.get(name, 1))
