"""Architectures made ready to be scored against many others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tli_cli.many.arrays import Ints, Numbering
from tli_cli.matching.anchors import CERTAIN, EVIDENCE
from tli_cli.matching.segments import Block
from tli_cli.matching.sides import Side
from tli_cli.scoring.score import Standing, unit_weight


class Catalogued:
    """The blocks and the runs of blocks that occur, each once, by number."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.runs: list[tuple[int, ...]] = []
        self.run_blocks: list[tuple[Block, ...]] = []
        self._block_numbers, self._run_numbers = Numbering(), Numbering()

    def block(self, block: Block) -> int:
        """Return the number of `block`: equal for blocks that the matcher cannot tell apart."""
        number = self._block_numbers.of(tuple((unit.label, unit.positions == 1, unit.setting) for unit in block.units))
        if number == len(self.blocks):
            self.blocks.append(block)
        return number

    def run(self, blocks: Sequence[Block]) -> int:
        """Return the number of consecutive `blocks`, which are kept as well: names and places are one network's own."""
        numbers = tuple(map(self.block, blocks))
        number = self._run_numbers.of(numbers)
        if number == len(self.runs):
            self.runs.append(numbers)
            self.run_blocks.append(tuple(blocks))
        return number


class Profile:
    """One architecture: its side, and by number its stem, its head and the runs of blocks that its stages are."""

    def __init__(self, side: Side, known: Catalogued) -> None:
        self.side = side
        self.standing = Standing.of(self.side.units, self.side.blocks)
        self.size = len(self.side.units)
        self.total = sum(map(unit_weight, self.side.units))
        self.certain, self.near = _evidence(self.side, CERTAIN), _evidence(self.side, EVIDENCE[len(CERTAIN) :])
        """What another side must have too for the graphs to prove a pair; the latter only counts for a near one."""
        stem, _, head = self.side.ends
        self.stem, self.head = known.run(stem), known.run(head)
        self.stages, self.first_level = self.side.stages, self.side.first_level
        self.runs = [known.run(stage.blocks) for stage in self.stages]
        self.weights = [
            sum(unit_weight(unit) for block in stage.blocks for unit in block.units) for stage in self.stages
        ]
        stages = ((id(stage.forms), len(stage.blocks), stage.level, stage.mixing) for stage in self.stages)
        self.form: Hashable = (self.first_level, self.side.residual, *stages)
        """What decides over the pairing of stages."""


def _evidence(side: Side, kinds: Sequence[tuple[str, ...]]) -> Ints:
    """Return the fingerprints of `kinds`, each with the number of units that have it: no pair follows from others."""
    found = {hash((names, key, len(units))) for names in kinds for key, units in side.groups(names).items()}
    return np.array(sorted(found), dtype=np.int64)
