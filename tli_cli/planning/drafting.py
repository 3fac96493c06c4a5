"""Draft what one source gives to each tensor of a target: pair by pair, with all that speaks against `exact`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tli_cli.architecture import LINEAR, Layer
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.choice import Choice
from tli_cli.planning.claims.doubts import TWICE, Doubts
from tli_cli.planning.claims.rivals import loose_places, told_by_order, untold
from tli_cli.planning.drafts import Drafts
from tli_cli.planning.identity import ADDED, is_silenced
from tli_cli.planning.lengths import draft_lengths, without_length
from tli_cli.planning.prepared import prepare
from tli_cli.planning.roles import answering, as_head, biases_beside, is_mask, shares
from tli_cli.planning.share_drafting import ShareDrafter, is_refused, leave_biases
from tli_cli.planning.spaces.pieces import is_copy
from tli_cli.planning.starts.chains import added_start, passing
from tli_cli.planning.starts.folding import LONE
from tli_cli.planning.starts.lone import LONE_BRANCH, NO_SHORTCUT
from tli_cli.planning.starts.norms import norms_of_others
from tli_cli.planning.starts.stacked import NEARLY, stacked_start
from tli_cli.planning.taken_ahead import TAKEN_BACK

LOST_BIAS = "it has no place for its partner's bias"
MASKED = "a mask of the target's own is worked into it"
OTHER_MAKER = "it stands behind a layer that does not compute what its partner does"
UNPROVED = "no graph shows what belongs together"
UNSCALED = "the source does not scale here"
UNNORMALISED = "the source does not normalise here"


class Drafter:
    """Draft what source number `model` gives, by the pairs of `matching`."""

    def __init__(self, drafts: Drafts, model: int, matching: Matching) -> None:
        self._drafts, self._model, self._book = drafts, model, drafts.book
        self._known = known = prepare(drafts, model, matching)
        self._target, self._source, self._matching = known.target, known.source, known.matching
        self._shares = ShareDrafter(drafts, model, known)

    def draft(self, chosen: Choice) -> None:
        """Draft the pairs whose target unit is given to this source by `chosen`."""
        model, matching = self._model, self._matching
        besides = {*self._known.lone.zeros, *self._known.lone.inner}
        mine = [
            (p, chosen[p.target.key][model])
            for p in matching.pairs
            if model in chosen[p.target.key] and p.target.place not in besides
        ]
        self._draft_unchanging()
        self._draft_pairs(mine)
        self._note_norms([pair for pair, _ in mine])
        self._draft_lone_norms({pair.target.place: pair for pair, _ in mine})
        self._draft_unfed({unit.place for unit in matching.targets if model not in chosen.get(unit.key, (model,))})
        self._note_lost_biases([pair for pair, _ in mine if pair.target.key not in matching.reused])

    def _draft_unchanging(self) -> None:
        """Draft layers that the target has besides all of the source and that start so that they change nothing."""
        known = self._known
        self._start(known.surplus, "ones", UNSCALED)
        self._start(known.ahead.scales, "ones", TAKEN_BACK)
        self._start(known.bare, "zeros", NO_SHORTCUT, ("weight", "bias"))
        self._start(known.lone.zeros, "zeros", LONE_BRANCH, ("weight", "bias"))
        self._start(known.lone.inner, "", LONE_BRANCH)

    def _draft_pairs(self, mine: Sequence[tuple[Pair, float]]) -> None:
        """Draft pairs with their weights, and note what speaks against each; norms that take something over go last."""
        ahead = self._known.ahead
        for pair, _ in mine:
            self._introduce(pair)
        self._book.made_up |= self._known.scales.made_up
        doubts = Doubts(self._known, self._book)
        loose = loose_places(self._matching, self._target, self._source)
        lost = untold(self._matching, self._target, self._source, loose)
        lost |= told_by_order(self._matching, self._target, self._source)
        for pair, weight in sorted(mine, key=lambda held: held[0].target.place in ahead.norms):
            place = pair.target.place
            if not ahead.takes_over(place, self._drafts):
                self._draft_pair(pair, weight)
            lone = LONE if place in self._known.folding.doubtful else ""
            self._note_doubt(place, doubts.of(pair) or lone or lost.get(place, ""), proved=place not in loose)

    def _draft_unfed(self, others: Collection[int]) -> None:
        """Draft what nothing feeds of added blocks: their ends give zero, so that whatever else holds adds nothing.

        Layers of `others` are fed by another source.
        """
        for place in {*self._known.added.bypassed}.difference(others):
            layer = self._target.layers[place]
            for role, name in layer.tensors:
                draft = self._drafts.of(name)
                if not draft.pieces and not draft.exact:
                    draft.exact = True
                    if place in self._known.added.ends and is_silenced(layer, role):
                        draft.initial, draft.reason = "zeros", ADDED

    def _start(self, places: Collection[int], initial: str, reason: str, roles: Collection[str] = ()) -> None:
        """Start the tensors of layers, or those of `roles`, so that the layers change nothing."""
        for role, name in (tensor for place in places for tensor in self._target.layers[place].tensors):
            if not roles or role.partition(".")[0] in roles:
                draft = self._drafts.of(name)
                draft.initial, draft.exact, draft.reason = initial, True, reason

    def _introduce(self, pair: Pair) -> None:
        target, source = self._known.layers(pair)
        mine, theirs = self._target.made(target.tensor("weight")), source.tensor("weight")
        if mine and self._source.axes.get(theirs or "") and target.kind in (*LINEAR, "embedding"):
            other = None if pair.repeat else next(iter(self._source.made(theirs)), None)
            self._book.introduce(mine[0], self._model, other)

    def _note_doubt(self, place: int, doubt: str, *, proved: bool) -> None:
        """Note `doubt` for a layer's tensors; unless a graph proves it, also that nothing shows more than copies."""
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
        """Note for batch norms behind layers that do not keep the function that their statistics are of others."""
        for norm, linear in norms_of_others(self._target, self._matching.targets, pairs):
            if not self._drafts.keep(linear):
                for draft in self._drafts.of_layer(norm):
                    draft.doubt = draft.doubt or OTHER_MAKER

    def _note_lost_biases(self, pairs: Sequence[Pair]) -> None:
        """Note for layers whose partner adds a bias that it is added nowhere; one of keys changes no softmax."""
        used = self._drafts.used()
        held = biases_beside(self._source)
        for pair in pairs:
            _, source = self._known.layers(pair)
            biases = {bias for _, name in source.tensors for bias in held[name]}
            if pair.target.role.removeprefix("cross_") != "k" and not used.issuperset(biases):
                for draft in self._drafts.of_layer(pair.target.place):
                    draft.doubt = draft.doubt or LOST_BIAS

    def _draft_pair(self, pair: Pair, weight: float) -> None:
        layer, partner = self._known.layers(pair)
        offered = self._known.folding.offered(self._source, pair, list(shares(self._source, pair.source)))
        if layer.kind == "linear" and partner.kind == "embedding":
            offered = [as_head(share) for share in offered]
        for head in (s for t, s in self._matching.heads if t.key == pair.target.key):
            offered += [share for share in shares(self._source, head) if share.role.partition(".")[0] == "bias"]
        wanted = [(share, self._drafts.of(share.spec.name)) for share in shares(self._target, pair.target)]
        identity = self._drafts.request.identity
        refused = False
        for share, draft in wanted:
            if start := self._added_start(pair.target, layer, share.role):
                exact = pair.target.place not in self._known.added.inexact
                draft.initial, draft.exact, draft.reason = start, exact, ADDED
            elif pair.repeat and identity and (start := stacked_start(self._target, share.spec.name)):
                draft.initial, draft.reason = start, NEARLY
            else:
                answer = answering(share, offered)
                self._shares.draft(share, answer, pair, weight)
                refused |= share.role == "weight" and answer is not None and is_refused(draft, pair)
        if refused:
            leave_biases(wanted, pair, partner)
        self._known.ahead.draft_biases(wanted, pair, self._book)
        draft_lengths({share.role: draft for share, draft in wanted}, offered, self._book, by_axes=self._drafts.by_axes)
        if any(is_mask(share) and not draft.pieces for share, draft in wanted):
            for _, draft in wanted:
                draft.doubt = draft.doubt or MASKED

    def _added_start(self, unit: Unit, layer: Layer, role: str) -> str:
        """Return how a tensor starts with which an added block changes nothing; empty if it is fed."""
        if unit.place in self._known.added.ends and is_silenced(layer, role):
            return "zeros"
        return added_start(role, unit, layer) if unit.place in self._known.added.chains else ""

    def _draft_lone_norms(self, fed: Mapping[int, Pair]) -> None:
        """Draft batch norms that the source lacks, behind the layers `fed` by a pair, as ones that change nothing."""
        for unit in self._matching.targets:
            before = self._known.folding.silent.get(unit.place, -1)
            if before in fed and before not in self._known.added.ends:
                self._draft_lone_norm(unit, fed[before])

    def _draft_lone_norm(self, norm: Unit, pair: Pair) -> None:
        """Draft a batch norm; it adds the bias that the layer before it, fed by `pair`, cannot."""
        layer, _ = self._known.layers(pair)
        before = self._drafts.of_layer(pair.target.place)
        if not any(draft.pieces for draft in before):
            return
        kept, starts = self._drafts.keep(pair.target.place), passing(self._target.layers[norm.place])
        for wanted in shares(self._target, norm):
            draft = self._drafts.of(wanted.spec.name)
            draft.initial, draft.exact, draft.doubt = starts.get(wanted.role, draft.initial), kept, before[0].doubt
            draft.reason = UNNORMALISED
            if wanted.role == "bias" and layer.tensor("bias") is None:
                bias = next((share for share in shares(self._source, pair.source) if share.role == "bias"), None)
                piece = bias and self._shares.piece(wanted, self._target.layers[norm.place], bias)
                if piece:
                    draft.pieces.append((piece, pair))
                    draft.doubt = draft.doubt or ("" if self._target.graph and self._source.graph else UNPROVED)
