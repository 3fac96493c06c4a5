"""Draft what one tensor, or one part of it, is made of, by a pair of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from tli_cli.architecture import Layer, TensorSpec
from tli_cli.describe.turned import Way
from tli_cli.grouping import grouped
from tli_cli.matching.values import Pair
from tli_cli.pieces import Piece
from tli_cli.planning.claims.averages import averages_unevenly
from tli_cli.planning.drafts import Draft, Drafts
from tli_cli.planning.numbers import were_run
from tli_cli.planning.prepared import Prepared
from tli_cli.planning.refusals import COMPUTED
from tli_cli.planning.roles import Share, is_cut_by_guess, lying_as
from tli_cli.planning.spaces.dimension_rules import Ends
from tli_cli.planning.spaces.pieces import is_exact, is_scaled, lie_alike, make_piece
from tli_cli.planning.starts.own_places import FOLDED

CUT_BY_GUESS = "how its heads are cut is not known; --source-arch or a configuration beside the file tells it"
FLATTENED = "whether it takes a flattened map is not known"
UNEVEN = "it averages over parts that grow unevenly"


class ShareDrafter:
    """Draft tensors of the target from those of source number `model`."""

    def __init__(self, drafts: Drafts, model: int, known: Prepared) -> None:
        self._drafts, self._model, self._known, self._book = drafts, model, known, drafts.book
        self._target, self._source = known.target, known.source

    def draft(self, wanted: Share, offered: Share | None, pair: Pair, weight: float) -> None:
        """Draft what is `wanted` from what is `offered`, if anything is, and note why not or what is doubtful."""
        draft = self._drafts.of(wanted.spec.name)
        wanted, offered, unlaid = self._laid_alike(wanted, offered)
        layer, partner = self._known.layers(pair)
        if refusal := self._drafts.refusals.of(wanted, offered, layer, partner, self._source):
            draft.reason = refusal
            return
        if offered is None:
            draft.reason = f"{partner.path} has no {wanted.role}"
            if wanted.role.partition(".")[0] == "bias":
                draft.initial, draft.exact = "zeros", not self._may_be_called_otherwise(partner, wanted.spec.shape)
            return
        self._book.added = pair.repeat
        query, rescale = self._known.scales.is_query(pair.target), self._known.scales.rescale(pair)
        turn = self._known.turns.of(pair)
        piece = self.piece(wanted, layer, offered, query, rescale, turn.way)
        if piece is None:
            draft.reason = f"{offered.spec.name} {list(offered.spec.shape)} cannot be reshaped to it"
            return
        piece = self._made_up_for(piece, wanted, pair)
        piece = self._known.ahead.weight(piece, pair, self._book) if wanted.role == "weight" else piece
        uneven = UNEVEN if averages_unevenly(layer, partner, piece, self._book) else ""
        draft.doubt = unlaid or self._unknown(wanted, offered) or turn.doubt or draft.doubt or uneven
        draft.pieces.append((piece if weight == piece.weight else replace(piece, weight=weight), pair))
        draft.exact |= pair.target.place in self._known.added.bypassed
        self._draft_places(wanted, pair, weight)

    def _draft_places(self, wanted: Share, pair: Pair, weight: float) -> None:
        """Take into a token what its position gives it, where the target has none for it, or leave that out."""
        draft, layer = self._drafts.of(wanted.spec.name), self._target.layers[pair.target.place]
        row = self._known.places.rows.get(pair.target.place)
        if row is not None and (piece := self.piece(wanted, layer, row)):
            draft.pieces.append((replace(piece, weight=weight), pair))
            draft.note = FOLDED
        if pair.target.place in self._known.places.silent:
            draft.initial = "zeros"
        elif pair.target.place not in self._known.places.without:
            return
        draft.exact |= all(is_exact(piece, self._book, but="none") for piece, _ in draft.pieces)

    def piece(
        self,
        wanted: Share,
        home: Layer,
        offered: Share,
        query: bool = False,
        rescale: float | None = None,
        turn: Way | None = None,
    ) -> Piece | None:
        """Return how the axes of what is `offered` become those that the layer `home` wants; None if they cannot."""
        ends = Ends(self._target, wanted, home, self._source, offered, self._model, query, rescale, turn)
        return make_piece(ends, self._book)

    def _made_up_for(self, piece: Piece, wanted: Share, pair: Pair) -> Piece:
        """Return `piece` with what makes up for code that differs: a norm in one network alone, another scale of what
        a table gives, another number that is added to a weight."""
        layer, partner = self._known.layers(pair)
        place = pair.target.place
        gain, fold = (
            self._known.gains.get(place, 1.0) if self._drafts.by_axes else 1.0,
            self._known.folding.folds.get(place),
        )
        if fold is not None or gain != 1.0:
            piece = replace(piece, fold=fold, gain=piece.gain * gain)
        known = were_run(self._target, self._source)
        offset = partner.offset if known else layer.offset, layer.offset
        if wanted.role == "weight" and (offset[0] != offset[1] or is_scaled(piece, self._book)):
            return replace(piece, added=offset)
        return piece

    def _laid_alike(self, wanted: Share, offered: Share | None) -> tuple[Share, Share | None, str]:
        """Return what is wanted and what is offered, both as the code of one side lays them where that of the other is
        not known, and what nothing tells of that."""
        known = bool(self._target.graph), bool(self._source.graph)
        if offered is None or known[0] == known[1]:
            return wanted, offered, ""
        laid = (wanted, lying_as(wanted, offered)) if known[0] else (lying_as(offered, wanted), offered)
        return *laid, "" if laid == (wanted, offered) else CUT_BY_GUESS

    def _unknown(self, wanted: Share, offered: Share) -> str:
        """Return what nothing tells of how two tensors lie in memory; empty if all is told."""
        if is_cut_by_guess(self._target, wanted, self._source, offered):
            return CUT_BY_GUESS
        known = self._target.graph or self._source.graph
        return "" if known or lie_alike(self._target, wanted, self._source, offered) else FLATTENED

    def _may_be_called_otherwise(self, partner: Layer, shape: tuple[int, ...]) -> bool:
        """Tell whether a source without a graph holds something of `shape` beside a layer: a bias may have any name."""
        own = {name for _, name in partner.tensors}
        return any(spec.shape == shape and spec.name not in own for spec in self._unplaced.get(partner.path, ()))

    @cached_property
    def _unplaced(self) -> dict[str, list[TensorSpec]]:
        """The tensors of a source without a graph, by their modules; none of one with a graph."""
        return grouped(() if self._source.graph else self._source.tensors, lambda spec: spec.name.rpartition(".")[0])


def is_refused(draft: Draft, pair: Pair) -> bool:
    """Tell whether what `pair` offers does not fit or may not be taken; what is computed starts as its partner does."""
    return draft.reason != COMPUTED and not any(own is pair for _, own in draft.pieces)


def leave_biases(drafted: Sequence[tuple[Share, Draft]], pair: Pair, partner: Layer) -> None:
    """Make no bias of that of `partner`, whose weight is not taken either."""
    for share, draft in drafted:
        kept = [held for held in draft.pieces if held[1] is not pair]
        if share.role.partition(".")[0] == "bias" and len(kept) < len(draft.pieces):
            draft.pieces, draft.exact = kept, False
            draft.reason = f"the weight beside it is not made of that of {partner.path}"
