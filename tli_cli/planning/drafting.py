"""Collect what is found for each tensor of a target while the pairs of layers are gone through."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, Architecture, Layer, TensorSpec
from tli_cli.matching.segments import blocks_of
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.plan import Step
from tli_cli.planning.chains import added_start, chain_layers, passes_unchanged
from tli_cli.planning.choice import Choice
from tli_cli.planning.doubts import Doubts
from tli_cli.planning.drafts import Draft, StepWriter
from tli_cli.planning.embedded import embedding_gains
from tli_cli.planning.feeders import strange_feeders
from tli_cli.planning.folding import LONE, NO_FOLDING, STARTS, folding
from tli_cli.planning.identity import ADDED, branch_ends, is_post_norm, is_silenced, surplus_scales
from tli_cli.planning.listed_rows import ListedRows
from tli_cli.planning.maps import MapBook
from tli_cli.planning.norms import averages_unevenly
from tli_cli.planning.numbers import were_run
from tli_cli.planning.pieces import is_copy, is_scaled, lie_alike, make_piece
from tli_cli.planning.proof import unlike_inputs
from tli_cli.planning.refusals import Refusals
from tli_cli.planning.request import Request
from tli_cli.planning.rivals import untold
from tli_cli.planning.roles import Share, answering, as_head, is_cut_by_guess, is_mask, shares
from tli_cli.planning.scales import Scales
from tli_cli.planning.shortcuts import NO_SHORTCUT, surplus_shortcuts

LOST_BIAS = "it has no place for its partner's bias"
MASKED = "a mask of the target's own is worked into it"
UNPROVED = "no graph shows what belongs together"


class Planner:
    """Collect the contributions to every target tensor and write them down as steps."""

    def __init__(self, target: Architecture, sources: Sequence[Architecture], request: Request) -> None:
        self.target, self.sources, self.request = target, sources, request
        self.book = MapBook(target, widen=request.widen, narrow=request.narrow, rows=self._listed_rows())
        self.drafts: dict[str, Draft] = {spec.name: Draft() for spec in target.tensors}
        self._inexact: set[int] = set()
        self._bypassed: set[int] = set()
        self._folding = NO_FOLDING
        self._refusals = Refusals(target, sources, request)

    def _listed_rows(self) -> ListedRows:
        by_axes = self.request.resizer == "maps"
        return ListedRows(self.target, self.request.head_rows, self.request.tokens, by_axes=by_axes)

    def add(self, matching: Matching, model: int, chosen: Choice) -> None:
        """Draft the pairs of `matching` (of source `model`) whose target unit is given to that model by `chosen`."""
        blocks = {unit.key: b.name for b in blocks_of(matching.targets) for unit in b.units}
        self._scales, self._heads = Scales(self.target, self.sources[model], matching), matching.heads
        self._gains = embedding_gains(self.target, self.sources[model], matching)
        proved = bool(self.target.graph and self.sources[model].graph)
        coherent = self.request.resizer == "maps" and self.request.norms
        self._folding = folding(self.target, self.sources[model], matching) if coherent else NO_FOLDING
        surplus = surplus_scales(matching, blocks, self.target)
        for place in surplus:
            for _, name in self.target.layers[place].tensors:
                draft = self.drafts[name]
                draft.initial, draft.exact, draft.reason = "ones", True, "the source does not scale here"
        ends, chains = self._added(matching, model, blocks)
        silent = ends | self._bare(matching, model)
        mine = [(pair, chosen[pair.target.key][model]) for pair in matching.pairs if model in chosen[pair.target.key]]
        for pair, _ in mine:
            self._introduce(pair, model)
        self.book.made_up |= self._scales.made_up
        passing = chains.union(surplus, self._folding.silent)
        unlike = self._unlike(matching, model, silent, passing) if proved else set()
        strange = self._strange(matching, model, silent, passing) if proved else {}
        doubts = Doubts(
            self.target,
            self.sources[model],
            self.book,
            silent,
            scaled={*self._scales.places, *self._gains},
            unlike=unlike,
            strange=strange,
            passing=passing,
            partners={p.target.place: p.source.place for p in matching.pairs if p.target.key not in matching.reused},
            copies={p.target.place: p.source.place for p in matching.pairs if p.target.key in matching.reused},
            folded=self._folding.taken,
        )
        lost = untold(matching, self.target, self.sources[model])
        for pair, weight in mine:
            added = pair.target.key in matching.reused
            self._draft_pair(pair, model, weight, pair.target.place in ends, chains)
            lone = LONE if pair.target.place in self._folding.doubtful else ""
            doubt = doubts.of(pair, added, self._bypassed, chains) or lone or lost.get(pair.target.place, "")
            self._note_doubt(pair.target.place, doubt, proved)
        places = {pair.target.place: pair for pair, _ in mine}
        for unit in matching.targets:
            before = self._folding.silent.get(unit.place, -1)
            if before in places and before not in ends:
                self._silence(unit, places[before], model)
        self._note_lost_biases([pair for pair, _ in mine if pair.target.key not in matching.reused], model)

    def _bare(self, matching: Matching, model: int) -> set[int]:
        """Start the projections of shortcuts that the source lacks at zero, and return what gives zero then."""
        if not self.request.identity:
            return set()
        found = surplus_shortcuts(self.target, self.sources[model], matching)
        for role, name in (tensor for place in found for tensor in self.target.layers[place].tensors):
            if role.partition(".")[0] in ("weight", "bias"):
                draft = self.drafts[name]
                draft.initial, draft.exact, draft.reason = "zeros", True, NO_SHORTCUT
        return found

    def _unlike(self, matching: Matching, model: int, ends: Collection[int], passing: Collection[int]) -> set[int]:
        """Return the layers that take something else than their partners, or whose outputs end up in something else."""
        first = (pair for pair in matching.pairs if pair.target.key not in matching.reused)
        partners = {pair.target.key: pair.source.key for pair in first}
        unread = self._unread(matching)
        added = {place for place, _ in matching.reused}
        return unlike_inputs(
            self.target,
            self.sources[model],
            partners,
            silent=ends,
            passing=passing,
            unread=unread,
            added=added,
            folded=self._folding.taken,
        )

    def _strange(
        self, matching: Matching, model: int, silent: Collection[int], passing: Collection[int]
    ) -> dict[int, str]:
        """Return why layers, by place, do not stand right behind the partners of what stands before theirs."""
        return strange_feeders(
            self.target,
            self.sources[model],
            {pair.target: pair.source for pair in matching.pairs},
            (matching.targets, matching.sources),
            silent={*silent, *self._unread(matching)},
            passing=passing,
            folded=self._folding.taken,
        )

    def _unread(self, matching: Matching) -> set[int]:
        """Return the layers of which all that is made is read with zero weight."""
        return {pair.target.place for pair in matching.pairs if self._is_passed_by(pair.target.place)}

    def _is_passed_by(self, place: int) -> bool:
        weight = self.target.axes.get(self.target.layers[place].tensor("weight") or "", ())
        return any(self.book.is_passed_by(axis.tree) for axis in weight if not axis.contracted)

    def _introduce(self, pair: Pair, model: int) -> None:
        target, source = self.target.layers[pair.target.place], self.sources[model].layers[pair.source.place]
        mine, theirs = (
            self.target.axes.get(target.tensor("weight") or ""),
            self.sources[model].axes.get(source.tensor("weight") or ""),
        )
        if mine and theirs and target.kind in (*LINEAR, "embedding"):
            axis, other = (next((a.tree for a in axes if not a.contracted), None) for axes in (mine, theirs))
            if axis is not None:
                self.book.introduce(axis, model, None if pair.repeat else other)

    def _added(self, matching: Matching, model: int, blocks: Mapping[Key, str]) -> tuple[set[int], set[int]]:
        """Return the layers that end the branches of added blocks, and those of added blocks that are plain chains."""
        ends: set[int] = set()
        chains: set[int] = set()
        added = {unit.place for unit in matching.targets if blocks[unit.key] in matching.added_blocks}
        for block in matching.added_blocks if self.request.identity else ():
            units = [unit for unit in matching.targets if blocks[unit.key] == block]
            found = branch_ends(self.target, units, added)
            ends |= found
            if is_post_norm(self.target, units):
                self._inexact |= found
            elif found:
                self._bypassed |= {unit.place for unit in units}
            chain = set() if found else chain_layers(self.target, units)
            chains |= chain
            if chain and not passes_unchanged(self.target, self.sources[model], units):
                self._inexact |= chain
        return ends, chains

    def _note_doubt(self, place: int, doubt: str, proved: bool) -> None:
        """Note `doubt` for a layer's tensors; without a graph, also that nothing proves what is more than a copy."""
        for _, name in self.target.layers[place].tensors:
            draft = self.drafts[name]
            copied = draft.reason != ADDED and all(is_copy(piece, self.book) for piece, _, _ in draft.pieces)
            draft.doubt = draft.doubt or doubt or ("" if proved or copied else UNPROVED)

    def _note_lost_biases(self, pairs: Sequence[Pair], model: int) -> None:
        """Note for layers whose partner adds a bias that it is added nowhere; one of keys changes no softmax."""
        used = {name for draft in self.drafts.values() for piece, _, _ in draft.pieces for name in piece.names}
        for pair in pairs:
            source = self.sources[model].layers[pair.source.place]
            biases = [name for role, name in source.tensors if role.partition(".")[0] == "bias"]
            if pair.target.role.removeprefix("cross_") != "k" and not used.issuperset(biases):
                for _, name in self.target.layers[pair.target.place].tensors:
                    self.drafts[name].doubt = self.drafts[name].doubt or LOST_BIAS

    def _draft_pair(self, pair: Pair, model: int, weight: float, ends_added_branch: bool, chains: set[int]) -> None:
        source = self.sources[model]
        layer, source_layer = self.target.layers[pair.target.place], source.layers[pair.source.place]
        offered = self._folding.offered(source, pair, list(shares(source, pair.source)))
        if layer.kind == "linear" and source_layer.kind == "embedding":
            offered = [as_head(share) for share in offered]
        for head in (s for t, s in self._heads if t.key == pair.target.key):
            offered += [share for share in shares(source, head) if share.role.partition(".")[0] == "bias"]
        for wanted in shares(self.target, pair.target):
            draft = self.drafts[wanted.spec.name]
            start = added_start(wanted.role, pair.target) if pair.target.place in chains else ""
            if ends_added_branch and is_silenced(layer, wanted.role):
                start = "zeros"
            if start:
                draft.initial, draft.exact, draft.reason = start, pair.target.place not in self._inexact, ADDED
                continue
            self._draft_share(draft, wanted, answering(wanted, offered), pair, layer, source_layer, model, weight)
        parts = [(share, self.drafts[share.spec.name]) for share in shares(self.target, pair.target)]
        if any(is_mask(share) and not draft.pieces for share, draft in parts):
            for _, draft in parts:
                draft.doubt = draft.doubt or MASKED

    def _silence(self, norm: Unit, pair: Pair, model: int) -> None:
        """Draft a batch norm that the source lacks as one that changes nothing; it adds the bias that the layer before
        it, fed by `pair`, cannot."""
        layer, source = self.target.layers[pair.target.place], self.sources[model]
        if not any(self.drafts[name].pieces for _, name in layer.tensors):
            return
        doubt = next((self.drafts[name].doubt for _, name in layer.tensors), "")
        for wanted in shares(self.target, norm):
            draft = self.drafts[wanted.spec.name]
            draft.initial, draft.exact, draft.doubt = STARTS.get(wanted.role, draft.initial), True, doubt
            draft.reason = "the source does not normalise here"
            if wanted.role == "bias" and layer.tensor("bias") is None:
                bias = next((share for share in shares(source, pair.source) if share.role == "bias"), None)
                home = self.target.layers[norm.place]
                piece = bias and make_piece(self.target, wanted, home, False, source, bias, model, self.book)
                if piece:
                    draft.pieces.append((piece, pair, wanted))

    def _draft_share(
        self,
        draft: Draft,
        wanted: Share,
        offered: Share | None,
        pair: Pair,
        layer: Layer,
        source_layer: Layer,
        model: int,
        weight: float,
    ) -> None:
        refusal = self._refusals.of(wanted, offered, layer, source_layer, self.sources[model])
        if refusal:
            draft.reason = refusal
            return
        if offered is None:
            draft.reason = f"{source_layer.path} has no {wanted.role}"
            if wanted.role.partition(".")[0] == "bias":
                draft.initial, draft.exact = "zeros", True
            return
        self.book.added = pair.repeat
        piece = make_piece(
            self.target,
            wanted,
            layer,
            self._scales.is_query(pair.target),
            self.sources[model],
            offered,
            model,
            self.book,
            self._scales.rescale(pair),
        )
        if piece is None:
            draft.reason = f"{offered.spec.name} {list(offered.spec.shape)} cannot be reshaped to it"
        else:
            fold = self._folding.folds.get(pair.target.place)
            if is_cut_by_guess(self.target, wanted, self.sources[model], offered):
                draft.doubt = "how its heads are cut is not known"
            elif not (self.target.graph or self.sources[model].graph) and not lie_alike(
                self.target, wanted, self.sources[model], offered
            ):
                draft.doubt = "whether it takes a flattened map is not known"
            gain = self._gains.get(pair.target.place, 1.0) if self.request.resizer == "maps" else 1.0
            piece = replace(piece, weight=weight, fold=fold, gain=piece.gain * gain)
            known = were_run(self.target, self.sources[model])
            added = source_layer.offset if known else layer.offset, layer.offset
            if wanted.role == "weight" and (added[0] != added[1] or is_scaled(piece, self.book)):
                piece = replace(piece, added=added)
            if averages_unevenly(layer, piece, self.book):
                draft.doubt = draft.doubt or "it averages over parts that grow unevenly"
            draft.pieces.append((piece, pair, wanted))
            draft.exact |= pair.target.place in self._bypassed

    def steps(self) -> list[Step]:
        """Return the steps in the order of the target's tensors."""
        owners = {name: (layer, role) for layer in self.target.layers for role, name in layer.tensors}
        writer = StepWriter(self.target, self.sources, self.request, self.book)
        return [writer.step(s, self._draft_of(s), *owners.get(s.name, (None, ""))) for s in self.target.tensors]

    def _draft_of(self, spec: TensorSpec) -> Draft:
        draft = self.drafts[spec.name]
        return self.drafts[spec.tied_to] if spec.tied_to in self.drafts and not draft.pieces else draft
