"""Residual streams that only norms read, as in pre-norm transformers: what their channels are is free, for all that
makes them and all that sums over them may be turned alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.describe.spaces import leaves
from tli_cli.matching.followers import scaled_layers
from tli_cli.matching.values import Matching

_ADDED, _JOINS = ("position", "token"), ("add", "cat")
_ROLES = {"weight", "bias"}
_AS_IT_IS = -1


@dataclass(frozen=True)
class Stream:
    """The layers that carry a stream, by place: its `norms`, of one flavour, what makes it, the `scales` right behind
    some of these, and what sums over it, each with the norm `before` it. A table that serves as a head is both."""

    flavour: str
    norms: frozenset[int]
    makers: frozenset[int]
    scales: frozenset[int]
    before: Mapping[int, int]


@dataclass(frozen=True)
class TurnedStream:
    """A `stream` of the target, over the space `mine`, whose channels are directions of the source's, over `theirs`.

    The norms `taken`, by the source's layers that sum over the channels, are taken into the layers of the target that
    are fed from these. A table that serves as a head takes none.
    """

    mine: int
    theirs: int
    stream: Stream
    taken: Mapping[int, int]


def turned_streams(target: Architecture, source: Architecture, matching: Matching) -> Iterator[TurnedStream]:
    """Yield the streams of the target that are narrower than the source's, where both graphs show that all that carries
    them is fed from what carries the source's in the same way."""
    if not (target.graph and source.graph):
        return
    partners = [(pair.target.place, pair.source.place) for pair in matching.pairs]
    offered = list(_streams(source))
    for tree, mine in _streams(target):
        narrower = [own for own in offered if 1 < target.size_of(tree) < source.size_of(own[0])]
        found = (_turned(target, tree, mine, other, theirs, partners) for other, theirs in narrower)
        yield from (turned for turned in found if turned is not None)


def _turned(
    target: Architecture, tree: int, mine: Stream, other: int, theirs: Stream, partners: Sequence[tuple[int, int]]
) -> TurnedStream | None:
    """Return `mine` as directions of `theirs`; None where a layer that carries it is fed from something else."""
    before = {place: norm for place, norm in mine.before.items() if target.layers[place].kind in LINEAR}
    alike = ((mine.makers, theirs.makers), (before, theirs.before), (mine.norms, theirs.norms))
    fed = [source in given for taken, given in alike for place, source in partners if place in taken]
    heads = {norm for place, norm in mine.before.items() if place not in before}
    if not fed or not all(fed) or mine.flavour != theirs.flavour or not heads.isdisjoint(before.values()):
        return None
    return TurnedStream(tree, other, replace(mine, before=before), theirs.before)


def _streams(architecture: Architecture) -> Iterator[tuple[int, Stream]]:
    """Yield the spaces of layer norms and RMS norms that are free, with what carries them."""
    axes = (architecture.weight_axes(layer) for layer in architecture.layers if _flavour(layer))
    for tree in dict.fromkeys(own[0].tree for own in axes if len(own) == 1):
        stream = _stream(architecture, tree) if isinstance(tree, int) else None
        if isinstance(tree, int) and stream is not None:
            yield tree, stream


def _flavour(layer: Layer) -> str:
    """Return how a norm over channels alone divides them; empty for any other layer."""
    flavour = str(layer.attribute("norm")) if layer.kind == "norm" else ""
    return flavour if flavour in ("layer", "rms") and (layer.averages or 1) == 1 and layer.offset in (0, 1) else ""


def _stream(architecture: Architecture, space: int) -> Stream | None:
    """Return what carries the channels of `space`; None where anything does but through norms or sums."""
    fixed = architecture.coded | architecture.averaged | architecture.dotted | architecture.guessed
    if architecture.spaces[space].kind != "channels" or space in fixed:
        return None
    carriers = _carriers(architecture, space)
    if carriers is None:
        return None
    norms, makers, scales, readers = carriers
    flavours = {_flavour(architecture.layers[place]) for place in norms}
    before = _norms_before(architecture, *carriers)
    if before is None or len(flavours) != 1 or "" in flavours or not readers <= before.keys():
        return None
    return Stream(flavours.pop(), frozenset(norms), frozenset(makers), frozenset(scales), before)


def _carriers(architecture: Architecture, space: int) -> tuple[set[int], set[int], set[int], set[int]] | None:
    """Return the norms over `space`, the layers that make it, the scales behind these and the layers that sum over it;
    None where it is part of an axis, or where a layer does something else with it."""
    norms, makers, scales, readers = set[int](), set[int](), set[int](), set[int]()
    scaling = set(scaled_layers(architecture).values())
    for place, layer in enumerate(architecture.layers):
        axes = [axis for _, name in layer.tensors for axis in architecture.axes.get(name, ())]
        held = [axis for axis in axes if space in leaves(axis.tree)]
        if not held:
            continue
        if any(axis.tree != space for axis in held) or not (_is_plain(layer) or place in scaling):
            return None
        if layer.kind in ("norm", "scale"):
            (scales if layer.kind == "scale" else norms).add(place)
            continue
        makers |= {place for axis in held if not axis.contracted}
        readers |= {place for axis in held if axis.contracted}
    return norms, makers, scales, readers


def _is_plain(layer: Layer) -> bool:
    """Tell whether a layer does to channels what its weight and its bias say."""
    if layer.kind not in (*LINEAR, "norm", "embedding", *_ADDED) or layer.attribute("relative"):
        return False
    named = layer.kind in _ADDED or {role for role, _ in layer.tensors if not role.startswith("tied.")} <= _ROLES
    one = int(layer.attribute("groups", 1)) == 1
    return named and one and not layer.attribute("standardised")


def _norms_before(
    architecture: Architecture, norms: set[int], makers: set[int], scales: set[int], readers: set[int]
) -> dict[int, int] | None:
    """Return for each layer that sums over a stream the norm before it; None where something else reads the stream, or
    what a norm makes of it."""
    layers = architecture.layers
    states: list[int | None] = []  # of each node: a norm's place if it makes it, `_AS_IT_IS`, or None of other channels
    before: dict[int, int] = {}
    for node in architecture.graph:
        found, place = {states[i] for i in node.inputs}, node.layer
        norm = next((state for state in found if state not in (None, _AS_IT_IS)), None)
        kind = layers[place].kind if place >= 0 else ""
        if norm is not None:
            kernel = max(layers[place].attribute("kernel", (1,)), default=1)
            reads = (place in readers and kernel == 1) or (place in makers and kind == "embedding")
            if not reads or found != {norm} or before.setdefault(place, norm) != norm:
                return None
            states.append(_AS_IT_IS if place in makers & readers else None)
        elif _AS_IT_IS in found:
            added = place in norms | scales or (place in makers and kind in _ADDED) or node.op in _JOINS
            if not added or found != {_AS_IT_IS}:
                return None
            states.append(place if place in norms else _AS_IT_IS)
        elif place in norms | scales | readers:
            return None
        else:
            states.append(_AS_IT_IS if place in makers else None)
    ends = (state for state, behind in zip(states, architecture.readers, strict=True) if not behind)
    return None if _AS_IT_IS in ends else before
