"""The default matcher: what the graphs prove, then stages, blocks and layers aligned in order by dynamic programming.

It extends the alignment of DPIAT (arXiv 2212.13970), which aligns blocks and then layers, by anchors from the
execution graph and by stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.matching.blocks import BlockPair, pair_blocks, stream_by_stream, tower_by_tower
from tli_cli.matching.contained import kept_apart
from tli_cli.matching.copies import with_copies
from tli_cli.matching.evidence import Evidence, evidence_of
from tli_cli.matching.left_over import left_between, with_left_over
from tli_cli.matching.lone_tables import without_lone_tables
from tli_cli.matching.namesakes import namesakes
from tli_cli.matching.same_shapes import without_extras
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.stages import pair_stages
from tli_cli.matching.tied import heads_apart, tied_heads
from tli_cli.matching.towers import of_common_inputs
from tli_cli.matching.unit_pairs import pair_units, uncrossed
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.unused_blocks import idle_pairs, without
from tli_cli.matching.values import Matching, Pair, StagePair
from tli_cli.matching.whole_layers import with_whole, with_whole_layers


def match_dp(source: Architecture, target: Architecture) -> Matching:
    """Return the matching of `target`'s units to those of `source`; deterministic, reads no values."""
    return match_sides(Side(source), Side(target))


def match_sides(source: Side, target: Side) -> Matching:
    """Return the matching of two sides, which may be used again for other pairs."""
    known = both_known(source, target)
    source, target = (source, target) if known else with_whole_layers(source, target)
    idle = idle_pairs(source, target)
    mine, theirs = [pair.target for pair in idle], [pair.source for pair in idle]
    targets, sources = with_whole(target.units, mine), with_whole(source.units, theirs)
    source, target = without(source, theirs), without(target, mine)
    held, copies = source.copies_beside(target), target.copies_beside(source)
    source, target = source.without((), held), target.without((), copies)
    source, target = without_lone_tables(*of_common_inputs(source, target))
    named = namesakes(source, target)
    heads = tied_heads(source, target)
    source, target = (source, target) if known else without_extras(source, target, [*named, *heads])
    evidence = evidence_of(source, target, named)
    partners = {key: pair.source.key for key, pair in evidence.pairs.items()}
    stages = pair_stages(target, source, partners)
    blocks = kept_apart(pair_blocks(target, source, stages, partners), evidence.inside)
    pairs, added = _Pairing(source, target, evidence, blocks).found()
    pairs = with_copies(pairs, copies, held) | {pair.target.key: pair for pair in idle}
    one_network = evidence.twins_are_all or len(evidence.proven) + len(idle) == len(targets) == len(sources)
    used = {pair.source.key for pair in pairs.values()}
    matching = Matching(
        tuple(pairs[unit.key] for unit in targets if unit.key in pairs),
        targets,
        sources,
        frozenset(added),
        tuple(_with_certainty(pair, evidence, one_network) for pair in stages),
        one_network=one_network,
        heads=tuple((t, s) for t, s in heads_apart(source, target) if t.key in pairs and s.key not in used),
        copies=tuple(copies),
        spared=tuple((unit, first) for unit, first in held if unit.key not in used),
    )
    return matching if known else with_left_over(matching)


def _with_certainty(pair: StagePair, evidence: Evidence, one_network: bool) -> StagePair:
    """Return `pair` as what is certain of its units makes it: of one network, or of one kin."""
    certain = evidence.certain.issuperset(unit.key for unit in pair.target.units)
    known = replace(pair, kinship=1.0, reach=1.0) if certain else pair
    return replace(known, room=1.0) if one_network else known


class _Pairing:
    """The pairs that what is known proves, and then those of what is left in the blocks that are paired."""

    def __init__(self, source: Side, target: Side, evidence: Evidence, blocks: Sequence[BlockPair]) -> None:
        self._source, self._target, self._evidence, self._blocks = source, target, evidence, blocks
        self._by_key = {unit.key: unit for unit in source.units}
        self._body = {block.name for block in target.ends[1]}
        self._pairs = dict(evidence.pairs)
        proven = evidence.proven | (self._pairs.keys() if all(u.key in self._pairs for u in target.units) else set())
        self._repeated = {
            pair.target.name
            for pair in blocks
            if pair.repeat and not any(unit.key in proven for unit in pair.target.units)
        }

    def found(self) -> tuple[dict[Key, Pair], set[str]]:
        """Return the pairs by target unit, and the blocks that are added."""
        for pair in self._blocks:
            self._drop_strays(pair)
        self._pair_in_blocks()
        known = both_known(self._source, self._target)
        if not known:
            self._pairs = {pair.target.key: pair for pair in uncrossed(self._pairs.values())}
        if self._evidence.strengths or not known:
            self._feed_between()
        self._pair_ends()
        return self._pairs, self._repeated

    def _drop_strays(self, blocks: BlockPair) -> None:
        """Forget all of a block that is added, and in the body what is only likely and leads to another block."""
        added = blocks.target.name in self._repeated
        inside = blocks.target.name in self._body
        home = {unit.key for unit in blocks.source.units}
        for unit in blocks.target.units:
            pair = self._pairs.get(unit.key)
            stray = pair and inside and self._evidence.is_likely(unit) and pair.source.key not in home
            if added or stray:
                self._pairs.pop(unit.key, None)

    def _given(self) -> set[Key]:
        return {pair.source.key for pair in self._pairs.values() if not pair.repeat}

    def _pair_in_blocks(self) -> None:
        given = self._given()
        for blocks in self._blocks:
            repeat = blocks.target.name in self._repeated
            for mine, theirs in stream_by_stream(blocks.target, blocks.source):
                wanted = [unit for unit in mine if unit.key not in self._pairs]
                candidates = [unit for unit in theirs if repeat or unit.key not in given]
                for t, s, similarity in pair_units(wanted, candidates, list(theirs)):
                    self._pairs[t.key] = Pair(t, self._by_key[s.key], similarity, repeat=repeat)
                    given |= set() if repeat else {s.key}

    def _feed_between(self) -> None:
        """Pair what is left over of one size between other pairs, which goes before blocks that are added; of two
        networks that nothing anchors in each other, only what has one name."""
        home = {unit.key: block.name for block in self._target.blocks for unit in block.units}
        once = [pair for pair in self._pairs.values() if not pair.repeat]
        for pair in left_between(self._target.units, self._source.units, once):
            if not self._evidence.strengths and pair.target.path != pair.source.path:
                continue
            self._pairs[pair.target.key] = pair
            self._repeated.discard(home[pair.target.key])

    def _pair_ends(self) -> None:
        """Pair what is left of the stems, and of the heads, which libraries cut into blocks in their own ways."""
        given = self._given()
        for wanted, offered in _ends(self._target, self._source):
            left = [unit for unit in offered if unit.key not in given]
            for t, s, similarity in pair_units([u for u in wanted if u.key not in self._pairs], left, left):
                self._pairs[t.key] = Pair(t, self._by_key[s.key], similarity)


def _ends(target: Side, source: Side) -> Iterator[tuple[list[Unit], list[Unit]]]:
    """Yield the units of the two stems, and of the two heads; tower by tower, where both sides have several."""
    (t_stem, _, t_head), (s_stem, _, s_head) = target.ends, source.ends
    for ends in ((t_stem, s_stem), (t_head, s_head)):
        for parts in tower_by_tower(*ends):
            yield tuple([unit for block in side for unit in block.units] for side in parts)  # type: ignore[misc]
