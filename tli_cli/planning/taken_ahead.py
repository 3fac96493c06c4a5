"""Norms before layers whose weights take them over, where the channels of a stream are turned: a norm's weight says of
each channel how much it counts, which means nothing of directions between channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tli_cli.architecture import Architecture, Layer
from tli_cli.axis_maps.expressions import expression_columns
from tli_cli.matching.values import Matching, Pair
from tli_cli.pieces import AxisMap, Fold, Piece
from tli_cli.planning.drafts import Draft, Drafts
from tli_cli.planning.roles import Share
from tli_cli.planning.spaces.free_streams import TurnedStream, turned_streams
from tli_cli.planning.spaces.maps import MapBook

TAKEN = "the layers that it feeds take it over, with directions of the source's channels"
TAKEN_BACK = "the layer before it takes it over, with directions of the source's channels"
PER_MINUTE = 2.4e12
"""How many values one core multiplies and adds in a minute, in float32."""


@dataclass(frozen=True)
class TakenAhead:
    """What is done about the norms of a target's `streams` that are turned, from those of `source`."""

    target: Architecture
    source: Architecture
    streams: Sequence[TurnedStream] = field(default=())

    @cached_property
    def norms(self) -> set[int]:
        """The target's norms that layers behind may take over, by place."""
        return {place for turned in self.streams for place in turned.stream.norms}

    @cached_property
    def scales(self) -> set[int]:
        """The target's scales that the layers before take over, by place."""
        return {place for turned in self.streams for place in turned.stream.scales}

    def takes_over(self, norm: int, drafts: Drafts) -> bool:
        """Tell whether layers behind a norm are drafted to take it over; then draft it to change sizes alone."""
        if norm not in self.norms:
            return False
        befores = (turned.stream.before for turned in self.streams)
        readers = [place for before in befores for place, own in before.items() if own == norm]
        pieces = (piece for place in readers for draft in drafts.of_layer(place) for piece, _ in draft.pieces)
        if not any(piece.fold is not None and piece.fold.before for piece in pieces):
            return False
        layer = self.target.layers[norm]
        for role, name in layer.tensors:
            draft = drafts.of(name)
            draft.initial, draft.reason = "ones" if role == "weight" and not layer.offset else "zeros", TAKEN
        return True

    def weight(self, piece: Piece, pair: Pair, book: MapBook) -> Piece:
        """Return the piece of a weight with the norm before its layer taken into it; of a norm's own, which no layer
        takes over, the mean of it."""
        if pair.target.place in self.norms:
            rows, columns = (unit.shape[0] for unit in (pair.target, pair.source))
            added = self.source.layers[pair.source.place].offset, self.target.layers[pair.target.place].offset
            gain = piece.gain * (columns / rows) ** 0.5
            return replace(piece, axes=(book.changing("mean", rows, columns),), gain=gain, added=added)
        return self._folded(piece, pair, "weight") or piece

    def draft_biases(self, wanted: Sequence[tuple[Share, Draft]], pair: Pair, book: MapBook) -> None:
        """Add to the bias of a layer what that of the norm before it gives, by what is drafted of its weight."""
        weights = [p for share, draft in wanted for p, own in draft.pieces if share.role == "weight" and own is pair]
        for share, draft in wanted if weights else ():
            piece = self._bias(weights[0], share, pair, book) if share.role == "bias" else None
            if piece is not None:
                draft.pieces.append((piece, pair))
                draft.exact = False

    def _bias(self, weight: Piece, wanted: Share, pair: Pair, book: MapBook) -> Piece | None:
        """Return what the bias of the norm before a layer adds to the layer's own, which is `wanted`: the piece of the
        layer's `weight`, summed up; None where no norm is taken over, or it has no bias."""
        piece = self._folded(weight, pair, "bias")
        if piece is None:
            return None
        axes = list(piece.axes)
        for dim in piece.contracted:
            axes[dim] = book.changing("summed", 1, expression_columns(axes[dim], book.maps))
        return replace(piece, target_range=wanted.cut, target_view=wanted.view, axes=tuple(axes))

    def _folded(self, piece: Piece, pair: Pair, role: str) -> Piece | None:
        """Return `piece` with the weight or bias of the norm before the source's layer taken into what is summed."""
        for turned in self.streams:
            norm = self._norm(turned, pair)
            name = norm.tensor(role) if norm is not None else None
            if norm is not None and name is not None:
                axes = self.source.axes[piece.source]
                axis = next(d for d, own in enumerate(axes) if own.tree == turned.theirs)
                offset = norm.offset if role == "weight" else 0.0
                return replace(piece, fold=replace(piece.fold or Fold(), before=name, axis=axis, offset=offset))
        return None

    def _norm(self, turned: TurnedStream, pair: Pair) -> Layer | None:
        """Return the source's norm that a layer of the target takes over."""
        if pair.target.place not in turned.stream.before or pair.source.place not in turned.taken:
            return None
        return self.source.layers[turned.taken[pair.source.place]]


def said_of_time(maps: Sequence[AxisMap], sources: Sequence[Architecture]) -> Iterator[str]:
    """Yield how long directions take where that is minutes: what carries them is multiplied with itself and by them."""
    work = sum(
        sources[int(model)].by_name[name].size * (axis_map.columns + axis_map.rows)
        for axis_map in maps
        if axis_map.rule.startswith("directions")
        for model, name, *_ in axis_map.members
    )
    minutes = work / PER_MINUTE
    if minutes >= 1.5:
        yield (
            f"finding the directions that a narrower stream keeps, and turning to them, takes about {minutes:.0f} "
            "minutes of one core; --method even chooses channels at once"
        )


def taken_ahead(
    target: Architecture, source: Architecture, matching: Matching, model: int, book: MapBook
) -> TakenAhead:
    """Return what is done about the norms of the streams that are turned, and note their maps in `book`."""
    streams = tuple(turned_streams(target, source, matching))
    for turned in streams:
        words = "centred" if turned.stream.flavour == "layer" else ""
        book.turn_stream(turned.mine, source, turned.theirs, model, words)
    return TakenAhead(target, source, streams)
