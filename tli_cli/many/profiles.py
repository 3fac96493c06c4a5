"""Architectures made ready to be scored against many others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from tli_cli.architecture import Architecture
from tli_cli.many.numbering import Numbering
from tli_cli.matching import blocks as pairing
from tli_cli.matching.anchors import EVIDENCE
from tli_cli.matching.segments import Block, split_ends, stages_of
from tli_cli.matching.sides import Side
from tli_cli.scoring import Standing, unit_weight


class Catalogued:
    """The blocks and the runs of blocks that occur, each once, by number."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.runs: list[tuple[int, ...]] = []
        self.run_blocks: list[tuple[Block, ...]] = []
        self._block_numbers, self._run_numbers = Numbering(), Numbering()

    def block(self, block: Block) -> int:
        """Return the number of `block`: equal for blocks that the matcher cannot tell apart."""
        number = self._block_numbers.of(tuple((unit.label, unit.positions == 1) for unit in block.units))
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

    def __init__(self, architecture: Architecture, known: Catalogued) -> None:
        self.side = Side(architecture)
        self.standing = Standing.of(self.side.units)
        self.size = len(self.side.units)
        self.total = sum(map(unit_weight, self.side.units))
        self.fingerprints = {key for names in EVIDENCE for key in self.side.groups(names)}
        stem, body, head = split_ends(self.side.blocks)
        self.stem, self.head = known.run(stem), known.run(head)
        self.stages = stages_of(body)
        self.runs = [known.run(stage.blocks) for stage in self.stages]
        self.first_level = pairing._first_level(self.side.blocks)
        self.form: Hashable = (self.first_level, *((id(stage.forms), stage.level) for stage in self.stages))
        """What decides over the pairing of stages."""
