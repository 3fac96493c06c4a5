"""What is worked out of a target, one source and their pairs before a tensor is drafted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.drafts import Drafts
from tli_cli.planning.identity import surplus_scales
from tli_cli.planning.spaces.embedding_scales import scale_gains
from tli_cli.planning.spaces.query_scales import Scales
from tli_cli.planning.spaces.turning import Turns
from tli_cli.planning.starts.added import Additions, additions
from tli_cli.planning.starts.folding import NO_FOLDING, Folding, folding
from tli_cli.planning.starts.lone import NO_BRANCH, Lone, lone_additions, surplus_shortcuts
from tli_cli.planning.starts.own_places import OwnPlaces, own_places
from tli_cli.planning.starts.stream_norms import Settled, norms_moved_behind
from tli_cli.planning.taken_ahead import TakenAhead, taken_ahead


@dataclass(frozen=True)
class Prepared:
    """Both sides and their pairs, some of which are settled otherwise; what either makes up for, and what starts so
    that it changes nothing."""

    target: Architecture
    source: Architecture
    matching: Matching
    places: OwnPlaces
    scales: Scales
    turns: Turns
    gains: Mapping[int, float]
    ahead: TakenAhead
    folding: Folding
    surplus: Collection[int]
    added: Additions
    lone: Lone
    bare: Collection[int]

    @cached_property
    def silent(self) -> set[int]:
        """The target's layers, by place, that give zero."""
        return {*self.added.ends, *self.bare, *self.lone.ends, *self.lone.tables}

    @cached_property
    def passing(self) -> set[int]:
        """The target's layers, by place, that pass on what they take."""
        return {*self.added.chains, *self.surplus, *self.folding.silent, *self.lone.passing}

    @cached_property
    def scaled(self) -> set[int]:
        """The target's layers, by place, behind which other scales are made up for."""
        return {*self.scales.places, *self.gains}

    @cached_property
    def first(self) -> list[Pair]:
        """The pairs of layers that are no additions."""
        return [pair for pair in self.matching.pairs if pair.target.key not in self.matching.reused]

    @cached_property
    def copies(self) -> dict[int, int]:
        """The source's layer for each of the target's that is added, by their places."""
        pairs = (pair for pair in self.matching.pairs if pair.target.key in self.matching.reused)
        return {pair.target.place: pair.source.place for pair in pairs}

    def layers(self, pair: Pair) -> tuple[Layer, Layer]:
        """Return the two layers of a pair, the target's first."""
        return self.target.layers[pair.target.place], self.source.layers[pair.source.place]


def prepare(drafts: Drafts, model: int, matching: Matching) -> Prepared:
    """Return what is known of source number `model` and of its pairs with the target before anything is drafted."""
    request, by_axes = drafts.request, drafts.by_axes
    places = own_places(drafts.target, drafts.sources[model], matching, folds=by_axes)
    target, source = sides = places.target, places.source
    blocks, settled = matching.target_blocks, Settled()
    if request.identity and by_axes and request.norms:
        matching, settled = norms_moved_behind(target, matching, blocks)
    scales, turns = Scales(*sides, matching), Turns(*sides, matching)
    gains = scale_gains(*sides, matching) if by_axes else {}
    ahead = _ahead(drafts, model, sides, matching)
    if ahead.scales:
        pairs = tuple(pair for pair in matching.pairs if pair.target.place not in ahead.scales)
        matching = replace(matching, pairs=pairs)
    return Prepared(
        target,
        source,
        matching,
        places,
        scales,
        turns,
        gains,
        ahead,
        folding=folding(*sides, matching) if by_axes and request.norms else NO_FOLDING,
        surplus=surplus_scales(matching, blocks, target),
        added=additions(target, matching, blocks, settled) if request.identity else Additions(),
        lone=lone_additions(*sides, matching) if request.identity else NO_BRANCH,
        bare=surplus_shortcuts(*sides, matching) if request.identity else set(),
    )


def _ahead(drafts: Drafts, model: int, sides: tuple[Architecture, Architecture], matching: Matching) -> TakenAhead:
    request = drafts.request
    alone = request.narrow == "strongest" and len(drafts.sources) == 1
    if drafts.by_axes and request.norms and alone:
        return taken_ahead(*sides, matching, model, drafts.book)
    return TakenAhead(*sides)
