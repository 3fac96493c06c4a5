"""What a matcher returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from tli_cli.matching.segments import Block, Stage, blocks_of
from tli_cli.matching.units import Key, Unit


@dataclass(frozen=True)
class Pair:
    """A target unit and the source unit that feeds it.

    `similarity` is in [0, 1]; `repeat` says that the source unit already feeds an earlier target block, so that
    this target block is an added one; `anchored` says that the execution graphs prove the pair: same place, same
    surroundings; `by_order` that no more than the order in which the layers are run tells them from others that stand
    alike; `asked` that the user asked for it.
    """

    target: Unit
    source: Unit
    similarity: float
    repeat: bool = False
    anchored: bool = False
    by_order: bool = False
    asked: bool = False

    @property
    def is_table_head(self) -> bool:
        """Whether a head of the target's own is fed from a table of tokens."""
        return self.target.kind == "dense" and self.source.kind == "embedding"


@dataclass(frozen=True)
class StagePair:
    """A target stage and the source stage that stands where it does; `added` where that one feeds another stage.

    `kinship` says how alike they mix places and carry values on, `reach`, which is no less, how far the target's means
    can do what the source's do, `level` how alike they stand between input and output, `room` how much of what the
    source's blocks do the target has blocks for, all in [0, 1].
    """

    target: Stage
    source: Stage
    added: bool
    kinship: float
    reach: float
    level: float
    room: float = 1.0


@dataclass(frozen=True)
class Matching:
    """The pairs, at most one for each target unit, in target order, both sides' units, and the pairs of stages.

    `windows` says whether it matters how far the blocks look: not to a matcher that looks at layers alone.
    `one_network` says that all units of both sides are paired, as the graphs prove or, where one is not known, as
    shapes say: whatever blocks their names cut them into. `heads` are tables of tokens that are the target's head, each
    with the head of the source's own in its place. `copies` are the target's units of a network that it holds again,
    each with the one in its place in the first, `spared` those of the source, of which none feeds anything.
    """

    pairs: tuple[Pair, ...]
    targets: tuple[Unit, ...]
    sources: tuple[Unit, ...]
    added_blocks: frozenset[str] = frozenset()
    stages: tuple[StagePair, ...] = ()
    windows: bool = True
    one_network: bool = False
    heads: tuple[tuple[Unit, Unit], ...] = ()
    copies: tuple[tuple[Unit, Unit], ...] = ()
    spared: tuple[tuple[Unit, Unit], ...] = ()

    @cached_property
    def by_target(self) -> Mapping[Key, Pair]:
        """The pairs by the keys of their target units."""
        return {pair.target.key: pair for pair in self.pairs}

    def with_pairs(self, pairs: Mapping[Key, Pair]) -> Matching:
        """Return the matching with `pairs`, by target unit, in place of its own."""
        return replace(self, pairs=tuple(pairs[unit.key] for unit in self.targets if unit.key in pairs))

    @cached_property
    def once(self) -> Matching:
        """The matching of both sides without what they hold again."""
        mine, theirs = ({unit.key for unit, _ in again} for again in (self.copies, self.spared))
        pairs = tuple(pair for pair in self.pairs if pair.target.key not in mine)
        theirs -= {pair.source.key for pair in pairs}
        return replace(
            self,
            pairs=pairs,
            targets=tuple(unit for unit in self.targets if unit.key not in mine),
            sources=tuple(unit for unit in self.sources if unit.key not in theirs),
            copies=(),
            spared=(),
        )

    @cached_property
    def target_blocks(self) -> list[Block]:
        """The target's blocks in the order of their first units."""
        return blocks_of(self.targets)

    @cached_property
    def source_blocks(self) -> list[Block]:
        """The source's blocks in the order of their first units."""
        return blocks_of(self.sources)

    @cached_property
    def reused(self) -> frozenset[Key]:
        """The target units whose source unit feeds another one that is likelier, or as likely and earlier.

        Pairs that the graphs prove do not count, for there the source runs one layer several times; nor those of what
        the target holds again, nor a head that takes the table of tokens, nor pairs that were asked for.
        """
        once = self.once if self.copies else self
        pairs = [pair for pair in once.pairs if not (pair.is_table_head or pair.asked)]
        ranked = sorted(reversed(pairs), key=lambda pair: (not pair.repeat, pair.anchored, pair.similarity))
        first = {pair.target.key for pair in {pair.source.key: pair for pair in ranked}.values()}
        return frozenset(p.target.key for p in pairs if p.target.key not in first and not p.anchored)
