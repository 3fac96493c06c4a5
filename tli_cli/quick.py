"""The `dp` scores of very many pairs: what pairs have in common is worked out once.

Where two graphs prove nothing of each other, `dp` aligns stems, heads and stages, and what it finds for two of these
depends on nothing else: what they feed is kept by their signatures. Everything else goes the usual way, over sides that
are kept. The result is that of `score_matching(match_dp(source, target))`, to the last digit.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tli_cli.architecture import Architecture
from tli_cli.matching import blocks as pairing
from tli_cli.matching.anchors import EVIDENCE
from tli_cli.matching.bags import overlap
from tli_cli.matching.blocks import BlockPair
from tli_cli.matching.dp import match_sides, pair_units
from tli_cli.matching.segments import Block, Stage, split_ends, stages_of
from tli_cli.matching.sides import Side
from tli_cli.scoring import Standing, fed_weight, fed_weights, ratio, unit_weight

_NUMBERS: dict[Hashable, int] = {}
_MOST_KEPT = 1 << 21


def _number(signature: Hashable) -> int:
    return _NUMBERS.setdefault(signature, len(_NUMBERS))


def _block_number(block: Block) -> int:
    return _number(tuple((unit.label, unit.positions == 1) for unit in block.units))


@dataclass(frozen=True, eq=False)
class _Run:
    """Consecutive blocks: `numbers` of their signatures, and the `number` of them all."""

    blocks: tuple[Block, ...]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        return tuple(map(_block_number, self.blocks))

    @cached_property
    def number(self) -> int:
        return _number(self.numbers)


class Profile:
    """One architecture, made ready to be scored against many."""

    def __init__(self, architecture: Architecture) -> None:
        self.side = Side(architecture)
        self.standing = Standing.of(self.side.units)
        self.total = sum(map(unit_weight, self.side.units))
        stem, body, head = split_ends(self.side.blocks)
        self.stem, self.head = _Run(tuple(stem)), _Run(tuple(head))
        self.stages = stages_of(body)
        self.runs = [_Run(stage.blocks) for stage in self.stages]
        self.first_level = pairing._first_level(self.side.blocks)
        self.stages_number = _number((self.first_level, *((id(s.forms), s.level) for s in self.stages)))
        self.fingerprints = frozenset(key for names in EVIDENCE for key in self.side.groups(names))

        self.has_graph = bool(architecture.graph)
        self.size = len(self.side.units)


class QuickScores:
    """Scores by `dp`; remembers what it has worked out."""

    def __init__(self, profiles: Sequence[Profile] = ()) -> None:
        self._profiles = profiles
        self._stage_pairs: dict[tuple[int, int], list[tuple[int, int, bool]]] = {}
        self._runs: dict[tuple[int, int, int], int] = {}
        self._blocks: dict[tuple[int, int, bool], int] = {}

    def row(self, target: int) -> list[float]:
        """Return the scores of all profiles into the one at `target`."""
        return [self.score(source, self._profiles[target]) for source in self._profiles]

    def score(self, source: Profile, target: Profile) -> float:
        """Return the score from `source` to `target`."""
        if _apart(source, target):
            return ratio(self._fed_apart(source, target), target.total)
        matching = match_sides(source.side, target.side)
        return ratio(sum(fed_weights(matching, source.standing, target.standing).values()), target.total)

    def _fed_apart(self, source: Profile, target: Profile) -> int:
        """Return what two architectures feed each other that have no anchors in common."""
        fed = self._ends(target.stem, source.stem) + self._ends(target.head, source.head)
        key = (target.stages_number, source.stages_number)
        if key not in self._stage_pairs:
            self._stage_pairs[key] = _paired_stages(target, source)
        for i, j, added in self._stage_pairs[key]:
            fed += self._stage(target.runs[i], source.runs[j], added)
        return fed

    def _ends(self, target: _Run, source: _Run) -> int:
        key = (target.number, source.number, 2)
        if key not in self._runs:
            self._runs[key] = _fed_by_ends(target.blocks, source.blocks)
        return self._runs[key]

    def _stage(self, target: _Run, source: _Run, added: bool) -> int:
        key = (target.number, source.number, int(added))
        if key not in self._runs:
            if len(self._runs) > _MOST_KEPT:
                self._runs.clear()
            pairs = pairing._pair_in_stage(target.blocks, source.blocks, added)
            self._runs[key] = sum(self._block(pair) for pair in pairing._flag_repeats(pairs))
        return self._runs[key]

    def _block(self, pair: BlockPair) -> int:
        key = (_block_number(pair.target), _block_number(pair.source), pair.repeat)
        if key not in self._blocks:
            if len(self._blocks) > _MOST_KEPT:
                self._blocks.clear()
            self._blocks[key] = _fed_by_block(pair)
        return self._blocks[key]


def _apart(source: Profile, target: Profile) -> bool:
    """Return whether nothing but the blocks decides: two graphs that share no fingerprint, and no places to compare."""
    if source.size == target.size or not (source.has_graph and target.has_graph):
        return False
    return source.fingerprints.isdisjoint(target.fingerprints)


def _paired_stages(target: Profile, source: Profile) -> list[tuple[int, int, bool]]:
    reference = (target.first_level, source.first_level)
    pairs = pairing._pair_stages(target.stages, source.stages, reference)
    mine, theirs = _places(target.stages), _places(source.stages)
    return [(mine[id(t)], theirs[id(s)], added) for t, s, added in pairs]


def _places(stages: Sequence[Stage]) -> dict[int, int]:
    return {id(stage): i for i, stage in enumerate(stages)}


def _fed_by_block(pair: BlockPair) -> int:
    context = overlap(pair.target.forms, pair.source.forms)
    sources = list(pair.source.units)
    return sum(
        fed_weight(unit_weight(t), similarity, repeat=pair.repeat, in_place=False, context=context)
        for t, _, similarity in pair_units(list(pair.target.units), sources, sources)
    )


def _fed_by_ends(targets: Sequence[Block], sources: Sequence[Block]) -> int:
    home = {unit.key: block for block in sources for unit in block.units}
    given: set[tuple[int, int]] = set()
    fed = 0
    for pair in pairing._flag_repeats(pairing._pair_ends(targets, sources)):
        candidates = [unit for unit in pair.source.units if pair.repeat or unit.key not in given]
        for t, s, similarity in pair_units(list(pair.target.units), candidates, list(pair.source.units)):
            context = overlap(pair.target.forms, home[s.key].forms)
            fed += fed_weight(unit_weight(t), similarity, repeat=pair.repeat, in_place=False, context=context)
            given |= set() if pair.repeat else {s.key}
    return fed
