"""Draft what one source gives to each tensor of a target: pair by pair, with all that speaks against `exact`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from tli_cli.architecture import LINEAR, Layer, TensorSpec
from tli_cli.describe.turned import Way
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.plan import Piece
from tli_cli.planning.choice import Choice
from tli_cli.planning.claims.doubts import TWICE, Doubts
from tli_cli.planning.claims.loose import loose_places
from tli_cli.planning.claims.rivals import untold
from tli_cli.planning.drafts import Drafts
from tli_cli.planning.identity import ADDED, is_silenced, surplus_scales
from tli_cli.planning.lengths import draft_lengths, without_length
from tli_cli.planning.numbers import were_run
from tli_cli.planning.roles import Share, answering, as_head, biases_beside, is_cut_by_guess, is_mask, shares
from tli_cli.planning.spaces.embedded import embedding_gains
from tli_cli.planning.spaces.ends import Ends
from tli_cli.planning.spaces.pieces import is_copy, is_exact, is_scaled, lie_alike, make_piece
from tli_cli.planning.spaces.scales import Scales
from tli_cli.planning.spaces.turning import Turns
from tli_cli.planning.starts.added import Additions, additions
from tli_cli.planning.starts.chains import added_start
from tli_cli.planning.starts.folding import LONE, NO_FOLDING, STARTS, folding
from tli_cli.planning.starts.lone import LONE_BRANCH, NO_BRANCH, lone_additions
from tli_cli.planning.starts.norms import averages_unevenly, norms_of_others
from tli_cli.planning.starts.own_places import FOLDED, own_places
from tli_cli.planning.starts.post_norms import Settled, norms_moved_behind
from tli_cli.planning.starts.shortcuts import NO_SHORTCUT, surplus_shortcuts
from tli_cli.planning.taken_ahead import TAKEN_BACK, TakenAhead, taken_ahead

LOST_BIAS = "it has no place for its partner's bias"
MASKED = "a mask of the target's own is worked into it"
OTHER_MAKER = "it stands behind a layer that does not compute what its partner does"
UNPROVED = "no graph shows what belongs together"
UNSCALED = "the source does not scale here"
UNNORMALISED = "the source does not normalise here"
CUT_BY_GUESS = "how its heads are cut is not known; --source-arch or a configuration beside the file tells it"
FLATTENED = "whether it takes a flattened map is not known"
UNEVEN = "it averages over parts that grow unevenly"


class Drafter:
    """Draft what source number `model` gives, by the pairs of `matching`."""

    def __init__(self, drafts: Drafts, model: int, matching: Matching) -> None:
        self._drafts, self._model, self._matching = drafts, model, matching
        request, self._book = drafts.request, drafts.book
        self._by_axes = request.resizer == "maps"
        self._places = own_places(drafts.target, drafts.sources[model], matching, folds=self._by_axes)
        sides = self._target, self._source = self._places.target, self._places.source
        blocks, settled = matching.target_blocks, Settled()
        if request.identity and self._by_axes and request.norms:
            matching, settled = norms_moved_behind(self._target, matching, blocks)
            self._matching = matching
        self._scales, self._turns = Scales(*sides, matching), Turns(*sides, matching)
        self._gains = embedding_gains(*sides, matching)
        turns = self._by_axes and request.norms and request.narrow == "strongest" and len(drafts.sources) == 1
        self._ahead = taken_ahead(*sides, matching, model, self._book) if turns else TakenAhead(*sides)
        if self._ahead.scales:
            pairs = (pair for pair in matching.pairs if pair.target.place not in self._ahead.scales)
            self._matching = matching = replace(matching, pairs=tuple(pairs))
        self._folding = folding(*sides, matching) if self._by_axes and request.norms else NO_FOLDING
        self._surplus = surplus_scales(matching, blocks, self._target)
        self._added = additions(*sides, matching, blocks, settled) if request.identity else Additions()
        self._lone = lone_additions(*sides, matching) if request.identity else NO_BRANCH
        self._bare = surplus_shortcuts(*sides, matching) if request.identity else set()

    def draft(self, chosen: Choice) -> None:
        """Draft the pairs whose target unit is given to this source by `chosen`."""
        model = self._model
        besides = {*self._lone.zeros, *self._lone.inner}
        mine = [
            (p, chosen[p.target.key][model])
            for p in self._matching.pairs
            if model in chosen[p.target.key] and p.target.place not in besides
        ]
        self._start(self._surplus, "ones", UNSCALED)
        self._start(self._ahead.scales, "ones", TAKEN_BACK)
        self._start(self._bare, "zeros", NO_SHORTCUT, ("weight", "bias"))
        self._start(self._lone.zeros, "zeros", LONE_BRANCH, ("weight", "bias"))
        self._start(self._lone.inner, "", LONE_BRANCH)
        for pair, _ in mine:
            self._introduce(pair)
        self._book.made_up |= self._scales.made_up
        doubts = self._doubts()
        loose = loose_places(self._matching, self._target, self._source)
        lost = untold(self._matching, self._target, self._source, loose)
        for pair, weight in sorted(mine, key=lambda held: held[0].target.place in self._ahead.norms):
            place = pair.target.place
            if not self._ahead.takes_over(place, self._drafts):
                self._draft_pair(pair, weight)
            lone = LONE if place in self._folding.doubtful else ""
            self._note_doubt(place, doubts.of(pair) or lone or lost.get(place, ""), proved=place not in loose)
        self._note_norms([pair for pair, _ in mine])
        self._draft_lone_norms({pair.target.place: pair for pair, _ in mine})
        self._draft_unfed(
            {unit.place for unit in self._matching.targets if model not in chosen.get(unit.key, (model,))}
        )
        self._note_lost_biases([pair for pair, _ in mine if pair.target.key not in self._matching.reused])

    def _draft_unfed(self, others: Collection[int]) -> None:
        """Draft what nothing feeds of added blocks: their ends give zero, so that whatever else holds adds nothing.

        Layers of `others` are fed by another source.
        """
        for place in {*self._added.bypassed}.difference(others):
            layer = self._target.layers[place]
            for role, name in layer.tensors:
                draft = self._drafts.of(name)
                if not draft.pieces and not draft.exact:
                    draft.exact = True
                    if place in self._added.ends and is_silenced(layer, role):
                        draft.initial, draft.reason = "zeros", ADDED

    def _start(self, places: Collection[int], initial: str, reason: str, roles: Collection[str] = ()) -> None:
        """Start the tensors of layers, or those of `roles`, so that the layers change nothing."""
        for role, name in (tensor for place in places for tensor in self._target.layers[place].tensors):
            if not roles or role.partition(".")[0] in roles:
                draft = self._drafts.of(name)
                draft.initial, draft.exact, draft.reason = initial, True, reason

    def _introduce(self, pair: Pair) -> None:
        target, source = self._layers(pair)
        mine = self._target.axes.get(target.tensor("weight") or "")
        theirs = self._source.axes.get(source.tensor("weight") or "")
        if mine and theirs and target.kind in (*LINEAR, "embedding"):
            axis, other = (next((a.tree for a in axes if not a.contracted), None) for axes in (mine, theirs))
            if axis is not None:
                self._book.introduce(axis, self._model, None if pair.repeat else other)

    def _layers(self, pair: Pair) -> tuple[Layer, Layer]:
        return self._target.layers[pair.target.place], self._source.layers[pair.source.place]

    def _doubts(self) -> Doubts:
        return Doubts(
            self._target,
            self._source,
            self._matching,
            self._book,
            self._added,
            silent={*self._added.ends, *self._bare, *self._lone.ends, *self._lone.tables},
            passing={*self._added.chains, *self._surplus, *self._folding.silent, *self._lone.passing},
            scaled={*self._scales.places, *self._gains},
            folded=self._folding.taken,
            lone=self._lone,
        )

    def _note_doubt(self, place: int, doubt: str, *, proved: bool) -> None:
        """Note `doubt` for a layer's tensors; unless a graph proves it, also that nothing does what is more than a
        copy."""
        if doubt == TWICE:
            self._drafts.notes[f"{ADDED}, but for its norms: {TWICE}"] = None
        for draft in self._drafts.of_layer(place):
            copied = (
                draft.reason != ADDED
                and not draft.note
                and all(is_copy(without_length(piece), self._book) for piece, _ in draft.pieces)
            )
            draft.doubt = draft.doubt or doubt or ("" if proved or copied else UNPROVED)

    def _note_norms(self, pairs: Sequence[Pair]) -> None:
        """Note for batch norms behind layers that are made of others and do not keep the function that their statistics
        are of other values."""
        for norm, linear in norms_of_others(self._target, self._matching.targets, pairs):
            if not self._drafts.keep(linear):
                for draft in self._drafts.of_layer(norm):
                    draft.doubt = draft.doubt or OTHER_MAKER

    def _note_lost_biases(self, pairs: Sequence[Pair]) -> None:
        """Note for layers whose partner adds a bias that it is added nowhere; one of keys changes no softmax."""
        used = self._drafts.used()
        held = biases_beside(self._source)
        for pair in pairs:
            _, source = self._layers(pair)
            biases = {bias for _, name in source.tensors for bias in held[name]}
            if pair.target.role.removeprefix("cross_") != "k" and not used.issuperset(biases):
                for draft in self._drafts.of_layer(pair.target.place):
                    draft.doubt = draft.doubt or LOST_BIAS

    def _draft_pair(self, pair: Pair, weight: float) -> None:
        layer, partner = self._layers(pair)
        offered = self._folding.offered(self._source, pair, list(shares(self._source, pair.source)))
        if layer.kind == "linear" and partner.kind == "embedding":
            offered = [as_head(share) for share in offered]
        for head in (s for t, s in self._matching.heads if t.key == pair.target.key):
            offered += [share for share in shares(self._source, head) if share.role.partition(".")[0] == "bias"]
        wanted = [(share, self._drafts.of(share.spec.name)) for share in shares(self._target, pair.target)]
        for share, draft in wanted:
            if start := self._added_start(pair.target, layer, share.role):
                exact = pair.target.place not in self._added.inexact
                draft.initial, draft.exact, draft.reason = start, exact, ADDED
            else:
                self._draft_share(share, answering(share, offered), pair, weight)
        self._ahead.draft_biases(wanted, pair, self._book)
        draft_lengths({share.role: draft for share, draft in wanted}, offered, self._book, by_axes=self._by_axes)
        if any(is_mask(share) and not draft.pieces for share, draft in wanted):
            for _, draft in wanted:
                draft.doubt = draft.doubt or MASKED

    def _added_start(self, unit: Unit, layer: Layer, role: str) -> str:
        """Return how a tensor starts with which an added block changes nothing; empty if it is fed."""
        if unit.place in self._added.ends and is_silenced(layer, role):
            return "zeros"
        return added_start(role, unit) if unit.place in self._added.chains else ""

    def _may_be_called_otherwise(self, partner: Layer, shape: tuple[int, ...]) -> bool:
        """Tell whether a source without a graph holds something of `shape` in a layer's module that is no part of it: a
        bias may have any name."""
        own = {name for _, name in partner.tensors}
        return any(spec.shape == shape and spec.name not in own for spec in self._unplaced.get(partner.path, ()))

    @cached_property
    def _unplaced(self) -> dict[str, list[TensorSpec]]:
        """The tensors of a source without a graph, by their modules; none of one with a graph."""
        found: dict[str, list[TensorSpec]] = defaultdict(list)
        for spec in () if self._source.graph else self._source.tensors:
            found[spec.name.rpartition(".")[0]].append(spec)
        return found

    def _draft_share(self, wanted: Share, offered: Share | None, pair: Pair, weight: float) -> None:
        draft = self._drafts.of(wanted.spec.name)
        layer, partner = self._layers(pair)
        if refusal := self._drafts.refusals.of(wanted, offered, layer, partner, self._source):
            draft.reason = refusal
            return
        if offered is None:
            draft.reason = f"{partner.path} has no {wanted.role}"
            if wanted.role.partition(".")[0] == "bias":
                draft.initial, draft.exact = "zeros", not self._may_be_called_otherwise(partner, wanted.spec.shape)
            return
        self._book.added = pair.repeat
        query, rescale = self._scales.is_query(pair.target), self._scales.rescale(pair)
        turn = self._turns.of(pair)
        piece = self._piece(wanted, layer, offered, query, rescale, turn.way)
        if piece is None:
            draft.reason = f"{offered.spec.name} {list(offered.spec.shape)} cannot be reshaped to it"
            return
        piece = self._made_up_for(piece, wanted, pair)
        piece = self._ahead.weight(piece, pair, self._book) if wanted.role == "weight" else piece
        uneven = UNEVEN if averages_unevenly(layer, partner, piece, self._book) else ""
        draft.doubt = self._unknown(wanted, offered) or turn.doubt or draft.doubt or uneven
        draft.pieces.append((piece if weight == piece.weight else replace(piece, weight=weight), pair))
        draft.exact |= pair.target.place in self._added.bypassed
        self._draft_places(wanted, pair, weight)

    def _draft_places(self, wanted: Share, pair: Pair, weight: float) -> None:
        """Take into a token what its position gives it, where the target has none for it, or leave that out."""
        draft, layer = self._drafts.of(wanted.spec.name), self._target.layers[pair.target.place]
        row = self._places.rows.get(pair.target.place)
        if row is not None and (piece := self._piece(wanted, layer, row)):
            draft.pieces.append((replace(piece, weight=weight), pair))
            draft.note = FOLDED
        if pair.target.place in self._places.silent:
            draft.initial = "zeros"
        elif pair.target.place not in self._places.without:
            return
        draft.exact |= all(is_exact(piece, self._book, but="none") for piece, _ in draft.pieces)

    def _piece(
        self,
        wanted: Share,
        home: Layer,
        offered: Share,
        query: bool = False,
        rescale: float | None = None,
        turn: Way | None = None,
    ) -> Piece | None:
        ends = Ends(self._target, wanted, home, self._source, offered, self._model, query, rescale, turn)
        return make_piece(ends, self._book)

    def _made_up_for(self, piece: Piece, wanted: Share, pair: Pair) -> Piece:
        """Return `piece` with what makes up for code that differs: a norm in one network alone, another scale of what
        a table gives, another number that is added to a weight."""
        layer, partner = self._layers(pair)
        place = pair.target.place
        gain, fold = self._gains.get(place, 1.0) if self._by_axes else 1.0, self._folding.folds.get(place)
        if fold is not None or gain != 1.0:
            piece = replace(piece, fold=fold, gain=piece.gain * gain)
        known = were_run(self._target, self._source)
        offset = partner.offset if known else layer.offset, layer.offset
        if wanted.role == "weight" and (offset[0] != offset[1] or is_scaled(piece, self._book)):
            return replace(piece, added=offset)
        return piece

    def _unknown(self, wanted: Share, offered: Share) -> str:
        """Return what nothing tells of how two tensors lie in memory; empty if all is told."""
        if is_cut_by_guess(self._target, wanted, self._source, offered):
            return CUT_BY_GUESS
        known = self._target.graph or self._source.graph
        return "" if known or lie_alike(self._target, wanted, self._source, offered) else FLATTENED

    def _draft_lone_norms(self, fed: Mapping[int, Pair]) -> None:
        """Draft batch norms that the source lacks, behind the layers `fed` by a pair, as ones that change nothing."""
        for unit in self._matching.targets:
            before = self._folding.silent.get(unit.place, -1)
            if before in fed and before not in self._added.ends:
                self._draft_lone_norm(unit, fed[before])

    def _draft_lone_norm(self, norm: Unit, pair: Pair) -> None:
        """Draft a batch norm; it adds the bias that the layer before it, fed by `pair`, cannot."""
        layer, _ = self._layers(pair)
        before = self._drafts.of_layer(pair.target.place)
        if not any(draft.pieces for draft in before):
            return
        kept = self._drafts.keep(pair.target.place)
        for wanted in shares(self._target, norm):
            draft = self._drafts.of(wanted.spec.name)
            draft.initial, draft.exact, draft.doubt = STARTS.get(wanted.role, draft.initial), kept, before[0].doubt
            draft.reason = UNNORMALISED
            if wanted.role == "bias" and layer.tensor("bias") is None:
                bias = next((share for share in shares(self._source, pair.source) if share.role == "bias"), None)
                piece = bias and self._piece(wanted, self._target.layers[norm.place], bias)
                if piece:
                    draft.pieces.append((piece, pair))
                    draft.doubt = draft.doubt or ("" if self._target.graph and self._source.graph else UNPROVED)
