"""What a matcher returns."""

from __future__ import annotations

from dataclasses import dataclass

from tli_cli.matching.units import Unit


@dataclass(frozen=True)
class Pair:
    """A target unit and the source unit that feeds it.

    `similarity` is in [0, 1]; `repeat` says that the source unit already feeds an earlier target block, so that
    this target block is an added one; `anchored` says that the execution graphs prove the pair: same place, same
    surroundings.
    """

    target: Unit
    source: Unit
    similarity: float
    repeat: bool = False
    anchored: bool = False


@dataclass(frozen=True)
class Matching:
    """The pairs, at most one for each target unit, in target order, and both sides' units."""

    pairs: tuple[Pair, ...]
    targets: tuple[Unit, ...]
    sources: tuple[Unit, ...]
    added_blocks: frozenset[str] = frozenset()
