"""What stems and heads feed each other, for one target against many sources side by side."""

from __future__ import annotations

import numpy as np

from tli_cli.many.alignments import Ints
from tli_cli.many.blocks import Blocks
from tli_cli.many.profiles import Catalogued
from tli_cli.matching import blocks as pairing
from tli_cli.matching.bags import overlap
from tli_cli.matching.unit_pairs import pair_units
from tli_cli.scoring import fed_weight, unit_weight

UNKNOWN = -1


class Ends:
    """What any stem feeds any other, and any head."""

    def __init__(self, known: Catalogued, blocks: Blocks) -> None:
        self._known, self._blocks = known, blocks
        self._lengths = np.array([len(run) for run in known.runs], dtype=np.int64)
        self._first = np.array([run[0] if run else 0 for run in known.runs], dtype=np.int64)
        self._fed: dict[int, Ints] = {}

    def fed(self, target: int, sources: Ints) -> Ints:
        """Return what each of the runs `sources` feeds the run `target`."""
        unknown = np.full(len(self._known.runs), UNKNOWN, dtype=np.int64)
        known = self._fed.setdefault(target, unknown)
        missing = np.unique(sources[known[sources] == UNKNOWN])
        lengths = self._lengths[missing]
        single = missing[lengths == 1]
        known[missing[lengths == 0]] = 0
        known[single] = self._fed_by_single(target, single)
        for source in missing[lengths > 1].tolist():
            known[source] = self._fed_by_several(target, source)
        return known[sources]

    def _fed_by_single(self, target: int, sources: Ints) -> Ints:
        """Return what runs of one block feed: all blocks of the target take from it, the likest for the first time."""
        blocks = self._known.runs[target]
        fed = np.zeros(len(sources), dtype=np.int64)
        if not blocks or not len(sources):
            return fed
        offered = self._first[sources]
        likest = np.stack([self._blocks.likeness(block)[offered] for block in blocks]).argmax(axis=0)
        for i, block in enumerate(blocks):
            fed += self._blocks.fed_by_blocks(block, offered, likest != i)
        return fed

    def _fed_by_several(self, target: int, source: int) -> int:
        targets, sources = self._known.run_blocks[target], self._known.run_blocks[source]
        home = {unit.key: block for block in sources for unit in block.units}
        given: set[tuple[int, int]] = set()
        fed = 0
        for pair in pairing.flag_repeats(pairing.pair_ends(targets, sources)):
            candidates = [unit for unit in pair.source.units if pair.repeat or unit.key not in given]
            for t, s, similarity in pair_units(list(pair.target.units), candidates, list(pair.source.units)):
                context = overlap(pair.target.forms, home[s.key].forms)
                fed += fed_weight(unit_weight(t), similarity, repeat=pair.repeat, in_place=False, context=context)
                given |= set() if pair.repeat else {s.key}
        return fed
