"""Batch norms and scales that stand behind a layer in one of two networks alone: taken into the layer, or, batch norms,
started so that they change nothing. Both keep the function in evaluation mode."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.followers import normalised_layers, scaled_layers
from tli_cli.matching.values import Matching, Pair
from tli_cli.pieces import Fold
from tli_cli.planning.roles import Share

LONE = "a batch norm or a scale stands behind it in one of the networks alone"


@dataclass(frozen=True)
class Folding:
    """What is done about the batch norms and scales that only one side has.

    `folds` says for a target layer how the norm or scale behind its partner is taken into it, `silent` for a target
    norm which layer stands before it, both by their places; `taken` are the source's that are taken into layers, and
    `doubtful` the layers whose lone norm or scale nothing can be done about.
    """

    folds: Mapping[int, Fold]
    silent: Mapping[int, int]
    taken: Collection[int]
    doubtful: Collection[int]

    def offered(self, source: Architecture, pair: Pair, shares: list[Share]) -> list[Share]:
        """Return `shares` of the pair's source unit, with what the norm behind it gives for the bias."""
        fold = self.folds.get(pair.target.place)
        if fold is None or not fold.mean:
            return shares
        bias = Share(source.by_name[fold.mean], "bias", source.axes.get(fold.mean, ()))
        return [*(share for share in shares if share.role != "bias"), bias]


NO_FOLDING = Folding({}, {}, frozenset(), frozenset())


def folding(target: Architecture, source: Architecture, matching: Matching) -> Folding:
    """Return what is done about lone batch norms.

    Without a graph one stands behind the layer that is defined before it.
    """
    mine, theirs, scaled = _norms_behind(target), _norms_behind(source), scaled_layers(source)
    normalised = set(normalised_layers(target).values())
    moved = {pair.source.place for pair in matching.pairs}
    fed = {pair.target.place for pair in matching.pairs if pair.target.kind == "norm"}
    found: dict[int, Fold | None] = {}
    silent: dict[int, int] = {}
    for pair in _single(matching):
        place, partner = pair.target.place, pair.source.place
        if place in mine and partner not in theirs and mine[place] not in fed:
            if _are_in_line(target, place, mine[place]):
                silent[mine[place]] = place
        elif partner in theirs and place not in normalised and theirs[partner] not in moved:
            known = _are_in_line(source, partner, theirs[partner])
            layers = source.layers[partner], source.layers[theirs[partner]]
            found[place] = _fold(target.layers[place], source, *layers) if known else None
        elif scaled.get(partner, partner) not in moved:
            found[place] = _scaling(source, source.layers[partner], source.layers[scaled[partner]])
    folds = {place: fold for place, fold in found.items() if fold is not None}
    doubtful = found.keys() - folds.keys()
    behind = {**scaled, **theirs}
    taken = {behind[pair.source.place] for pair in matching.pairs if pair.target.place in folds}
    if not (target.graph and source.graph):
        doubtful |= _beside_lost_norms(source, matching, {*moved, *taken})
    return Folding(folds, silent, frozenset(taken), frozenset(doubtful))


def _beside_lost_norms(source: Architecture, matching: Matching, used: Collection[int]) -> set[int]:
    """Return the target's layers whose partners stand in one block with a batch norm or scale of the source that is
    used for nothing: one of them may be what that stands behind."""
    lost = {
        layer.block
        for place, layer in enumerate(source.layers)
        if place not in used
        and (layer.kind == "scale" or layer.tensor("running_var") is not None)
        and layer.block != layer.path
    }
    return {pair.target.place for pair in _single(matching) if source.layers[pair.source.place].block in lost}


def _single(matching: Matching) -> Iterator[Pair]:
    """Yield the pairs of whole convolutions and linear layers that are no additions."""
    for pair in matching.pairs:
        whole = pair.target.part == pair.source.part == -1 and pair.target.kind in ("conv", "dense")
        if whole and not pair.repeat and pair.target.key not in matching.reused:
            yield pair


def _norms_behind(architecture: Architecture) -> dict[int, int]:
    """Return for each linear map that only a batch norm with statistics reads the place of that norm."""
    reads = {architecture.graph[i].layer: readers for i, readers in enumerate(architecture.readers)}
    return {
        linear: norm
        for norm, linear in normalised_layers(architecture).items()
        if architecture.layers[norm].tensor("running_var") and len(reads.get(linear, (norm,))) == 1
    }


def _are_in_line(architecture: Architecture, linear: int, norm: int) -> bool:
    """Tell whether nothing but `linear` feeds `norm`, as far as is known: without a graph, where both stand in one
    block, or both in none. At the start of a block a norm may take a sum."""
    layers = [architecture.layers[place] for place in (linear, norm)]
    blocks = [layer.block if layer.block != layer.path else "" for layer in layers]
    return bool(architecture.graph) or blocks[0] == blocks[1]


def _scaling(source: Architecture, partner: Layer, scale: Layer) -> Fold | None:
    """Return how a scale behind `partner` is taken into weight and bias; None where it has other sizes or roles."""
    weight, factor = partner.tensor("weight"), scale.tensor("weight")
    if weight is None or factor is None or len(scale.tensors) > 1 or partner.attribute("transposed"):
        return None
    same = source.by_name[weight].shape[:1] == source.by_name[factor].shape
    return Fold("", "", factor) if same and not scale.offset else None


def _fold(layer: Layer, source: Architecture, partner: Layer, norm: Layer) -> Fold | None:
    """Return how `norm` is taken into `layer`; None where that has no bias, or the channels do not come first."""
    weight, mean, variance = partner.tensor("weight"), norm.tensor("running_mean"), norm.tensor("running_var")
    if not (layer.tensor("bias") and weight and mean and variance) or partner.attribute("transposed"):
        return None
    if source.by_name[weight].shape[:1] != source.by_name[mean].shape:
        return None
    bias = partner.tensor("bias") or ""
    known = () if norm.epsilon is None else (norm.epsilon,)
    return Fold(mean, variance, norm.tensor("weight") or "", norm.tensor("bias") or "", bias, *known)
