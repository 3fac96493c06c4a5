"""What stems and heads feed each other, for one target against many sources side by side."""

from __future__ import annotations

import numpy as np

from tli_cli.many.alignments import align_all
from tli_cli.many.arrays import Ints, alike, ragged
from tli_cli.many.blocks import Blocks
from tli_cli.many.profiles import Catalogued
from tli_cli.matching import blocks as pairing
from tli_cli.matching.unit_pairs import pair_units
from tli_cli.scoring.keeping import keeping
from tli_cli.scoring.score import REPEATED, context, fed_weight, unit_weight

UNKNOWN = -1


class Ends:
    """What any stem feeds any other, and any head."""

    def __init__(self, known: Catalogued, blocks: Blocks) -> None:
        self._known, self._blocks = known, blocks
        self._runs, self._lengths = ragged(known.runs)
        self._fed: dict[int, Ints] = {}

    def fed(self, target: int, sources: Ints) -> Ints:
        """Return what each of the runs `sources` feeds the run `target`."""
        unknown = np.full(len(self._known.runs), UNKNOWN, dtype=np.int64)
        known = self._fed.setdefault(target, unknown)
        missing = np.unique(sources[known[sources] == UNKNOWN])
        known[missing] = 0
        filled = missing[self._lengths[missing] > 0]
        if self._known.runs[target]:
            for chosen in alike(self._lengths[filled], len(self._known.runs[target])):
                known[filled[chosen]] = self._fed_by_runs(target, filled[chosen])
        return known[sources]

    def _fed_by_runs(self, target: int, sources: Ints) -> Ints:
        """Return what runs feed: side by side where blocks are fed by single blocks and all else is unlike."""
        blocks, widths = self._known.runs[target], self._lengths[sources]
        offered = self._runs[sources, : int(widths.max())].T
        likeness = np.stack([self._blocks.likeness(block)[offered] for block in blocks])
        here, single = np.arange(len(sources)), widths == 1
        matched = np.where(single, 0, align_all(likeness, widths))
        first = likeness[:, 0].argmax(axis=0)
        one_by_one = (matched >= 0).all(axis=0)
        fed = np.zeros(len(sources), dtype=np.int64)
        for i, block in enumerate(blocks):
            partners = offered[matched[i], here]
            fed += self._blocks.fed_by_blocks(block, partners, single & (first != i))
            unpaired, _ = self._blocks.left_by_blocks(block, partners)
            for j, others in enumerate(offered):
                one_by_one &= (j >= widths) | (unpaired & self._blocks.left_by_blocks(block, others)[1] == 0)
        for i in np.flatnonzero(~one_by_one).tolist():
            fed[i] = self._fed_by_several(target, int(sources[i]))
        return fed

    def _fed_by_several(self, target: int, source: int) -> int:
        targets, sources = self._known.run_blocks[target], self._known.run_blocks[source]
        home = {unit.key: block for block in sources for unit in block.units}
        given: set[tuple[int, int]] = set()
        found: set[tuple[int, int]] = set()
        fed = 0
        for pair in pairing.flag_repeats(pairing.pair_ends(targets, sources)):
            candidates = [unit for unit in pair.source.units if pair.repeat or unit.key not in given]
            for t, s, similarity in pair_units(list(pair.target.units), candidates, list(pair.source.units)):
                use = REPEATED if pair.repeat else 1.0
                kept = similarity * keeping(t, s)
                fed += fed_weight(
                    unit_weight(t), kept, use=use, in_place=False, context=context(pair.target, home[s.key])
                )
                given |= set() if pair.repeat else {s.key}
                found.add(t.key)
        wanted = [(unit, block) for block in targets for unit in block.units if unit.key not in found]
        left = [unit for block in sources for unit in block.units if unit.key not in given]
        place = {unit.key: block for unit, block in wanted}
        for t, s, similarity in pair_units([unit for unit, _ in wanted], left, left):
            kept = similarity * keeping(t, s)
            fed += fed_weight(unit_weight(t), kept, use=1.0, in_place=False, context=context(place[t.key], home[s.key]))
        return fed
