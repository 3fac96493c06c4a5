"""Pairs of blocks and of runs of blocks, for one target against many sources side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.alignments import align_all
from tli_cli.many.arrays import Bags, Floats, Ints, alike, ragged
from tli_cli.many.labels import Labels
from tli_cli.many.profiles import Catalogued
from tli_cli.matching.blocks import BLOCK, BLOCK_FORMS, BLOCK_SHAPES, DISPLACED
from tli_cli.matching.settings import OTHER_SETTING, UNKNOWN
from tli_cli.matching.unit_pairs import ENOUGH, REUSABLE, REUSE
from tli_cli.scoring.score import ADDED, MOVED, REPEATED, unit_weight

MOST_KEPT = 256
BITS = 62
USES = (1.0, REPEATED, ADDED)
ONCE, AGAIN, MORE = range(len(USES))
"""How a block uses a source block: first, once more, or as a block that is added to its stage."""


class Blocks:
    """All blocks that occur, as arrays."""

    def __init__(self, known: Catalogued) -> None:
        self._known = known
        units = {unit.label: unit for block in known.blocks for unit in block.units}
        place = {label: i for i, label in enumerate(units)}
        self._labels = Labels(list(units.values()))
        self._units, self._lengths = ragged([[place[unit.label] for unit in block.units] for block in known.blocks])
        self._settings, _ = ragged([[unit.setting for unit in block.units] for block in known.blocks])
        self._runs, self._run_lengths = ragged([list(run) for run in known.runs])
        self._forms = Bags([block.forms for block in known.blocks])
        self._shapes = Bags([block.shapes for block in known.blocks])
        self._windows = np.array([block.window for block in known.blocks])
        self._likeness = lru_cache(maxsize=512)(self._likeness_row)
        self._fed: dict[int, Ints] = {}

    def _likeness_row(self, target: int) -> tuple[Floats, Floats]:
        """Return the likeness of a block to every block, as it is and in whole thousandths."""
        row = BLOCK + BLOCK_FORMS * self._forms.overlap(target) + BLOCK_SHAPES * self._shapes.overlap(target)
        return row, np.rint(1000 * row)

    def _context(self, target: int) -> Floats:
        """Return the context that each block gives the block `target`."""
        own = self._windows[target]
        less = (own > 0) & (own < self._windows)
        windows = np.where(less, np.sqrt(own / np.where(less, self._windows, 1.0)), 1.0)
        return np.minimum(self._forms.overlap(target), windows)

    def likeness(self, target: int) -> Floats:
        """Return the likeness of the block `target` to every block."""
        return self._likeness(target)[0]

    def fed_by_blocks(self, target: int, sources: Ints, repeated: NDArray[np.bool_]) -> Ints:
        """Return what each of the blocks `sources` feeds the block `target`, for the first time or once more."""
        self._look_up(target, np.unique(sources))
        fed: Ints = self._fed[target][np.where(repeated, AGAIN, ONCE), sources]
        self._forget()
        return fed

    def left_by_blocks(self, target: int, sources: Ints) -> tuple[Ints, Ints]:
        """Return which units of the block `target` each of the blocks `sources` leaves unpaired, and which of its units
        are like one of theirs: as bits."""
        self._look_up(target, np.unique(sources))
        unpaired, alike = self._fed[target][len(USES) :, sources]
        self._forget()
        return unpaired, alike

    def fed_by_runs(self, requests: Sequence[tuple[int, Ints, bool]]) -> list[Ints]:
        """Return what source runs feed a target run as a stage, for each (target, sources, whether it is added)."""
        paired = [self._paired_runs(*request) for request in requests]
        wanted: dict[int, list[Ints]] = {}
        for (target, _, _), (sources, _) in zip(requests, paired, strict=True):
            for i, block in enumerate(self._known.runs[target]):
                wanted.setdefault(block, []).append(sources[i])
        for block, found in wanted.items():
            self._look_up(block, np.unique(np.concatenate(found)))
        fed = [np.zeros(sources.shape[1], dtype=np.int64) for sources, _ in paired]
        for (target, _, _), (sources, uses), total in zip(requests, paired, fed, strict=True):
            for i, block in enumerate(self._known.runs[target]):
                total += self._fed[block][uses[i], sources[i]]
        self._forget()
        return fed

    def _forget(self) -> None:
        while len(self._fed) > MOST_KEPT:
            del self._fed[next(iter(self._fed))]

    def _paired_runs(self, target: int, sources: Ints, added: bool) -> tuple[Ints, Ints]:
        """Return the source block of each target block, and how it is used: both `(blocks, sources)`."""
        blocks = self._known.runs[target]
        found, uses = (np.zeros((len(blocks), len(sources)), dtype=np.int64) for _ in range(2))
        for chosen in alike(self._run_lengths[sources], len(blocks)):
            found[:, chosen], uses[:, chosen] = self._paired_stages(blocks, sources[chosen], added)
        return found, uses

    def _paired_stages(self, target: tuple[int, ...], sources: Ints, added: bool) -> tuple[Ints, Ints]:
        widths = self._run_lengths[sources]
        blocks = self._runs[sources, : int(widths.max())].T
        likeness = np.stack([self._likeness(block)[0][blocks] for block in target])
        last = np.where(widths > len(target), widths - 1, max(len(target) - 1, 1))
        here = np.arange(len(target))[:, None] / last
        there = np.arange(len(blocks))[:, None] / np.maximum(widths - 1, 1)
        for row, place in zip(likeness, here, strict=True):
            row -= DISPLACED * np.abs(place - there)
        matched = align_all(likeness, widths)
        partners = blocks[np.maximum(matched, 0), np.arange(len(sources))]
        found = partners.copy()
        for i, block in enumerate(target):
            alone = np.flatnonzero(matched[i] < 0)
            if len(alone):
                near = self._nearest(block, i, matched[:, alone], partners[:, alone])
                found[i, alone] = partners[near, alone]
        return found, np.full_like(found, AGAIN) if added else np.where(matched < 0, MORE, ONCE)

    def _nearest(self, block: int, i: int, matched: Ints, partners: Ints) -> Ints:
        """Return for each source the matched target block whose source is likest, then the nearest, then the
        earlier."""
        rounded = np.where(matched >= 0, self._likeness(block)[1][partners], -1.0)
        k = np.arange(len(matched))[:, None]
        behind = 2 * np.abs(k - i) + (k > i)
        nearest: Ints = np.where(rounded == rounded.max(axis=0), behind, 1 << 30).argmin(axis=0)
        return nearest

    def _look_up(self, target: int, sources: Ints) -> None:
        """See to it that what the blocks `sources` feed the block `target` is known, used once and repeated."""
        if target not in self._fed:
            self._fed[target] = np.full((len(USES) + 2, len(self._known.blocks)), -1, dtype=np.int64)
        known = self._fed[target]
        missing = sources[known[0, sources] < 0]
        context = self._context(target)[missing] if len(missing) else np.zeros(0)
        weights = np.array([unit_weight(unit) for unit in self._known.blocks[target].units])[:, None]
        for chosen in alike(self._lengths[missing], len(weights)):
            kept, likest = self._paired_units(target, missing[chosen])
            worth = weights * kept
            known[len(USES), missing[chosen]] = _bits(kept == 0)
            known[len(USES) + 1, missing[chosen]] = _bits(likest >= ENOUGH)
            for use, factor in enumerate(USES):
                known[use, missing[chosen]] = np.rint(worth * factor * MOVED * context[chosen]).sum(axis=0)

    def _paired_units(self, target: int, sources: Ints) -> tuple[Floats, Floats]:
        """Return what each unit of a block keeps of its partner in each of `sources`, 0 where it has none, and its
        similarity to the likest of their units: both `(units, sources)`."""
        widths = self._lengths[sources]
        units = self._units[sources, : int(widths.max())].T
        own = self._units[target, : self._lengths[target]]
        used = np.arange(len(units))[:, None] >= widths
        tables = np.stack([self._labels.row(int(label))[units] for label in own])
        tables[:, used] = 0.0
        matched = align_all(tables, widths)
        at, here = np.maximum(matched, 0), np.arange(len(sources))
        paired = np.where(matched >= 0, tables[np.arange(len(own))[:, None], at, here], 0.0)
        paired[paired < ENOUGH] = 0.0
        for row, place in zip(paired, at, strict=True):
            taken = np.flatnonzero(row)
            used[place[taken], taken] = True
        for row, place, table, unit in zip(paired, at, tables, self._known.blocks[target].units, strict=True):
            left = np.flatnonzero(row == 0)
            if len(left):
                row[left], place[left] = _leftovers(table[:, left], left, used, unit.kind in REUSABLE)
        kept = np.take_along_axis(
            np.stack([self._labels.keeping(int(label)) for label in own]), units[at, here], axis=1
        )
        kept *= self._kept_by_settings(target, sources, at)
        return paired * kept, tables.max(axis=1)

    def _kept_by_settings(self, target: int, sources: Ints, partners: Ints) -> Floats:
        """Return `setting_keeping` of the units of a block and of `partners`, units of `sources` by place:
        `(units, sources)`."""
        mine, theirs = self._settings[target, : len(partners), None], self._settings[sources, partners]
        same: NDArray[np.bool_] = (mine == theirs) | (mine == UNKNOWN) | (theirs == UNKNOWN)
        return np.where(same, 1.0, OTHER_SETTING)


def _bits(holds: NDArray[np.bool_]) -> Ints:
    """Return a number for each column whose bits say in which rows it holds; all bits where there are too many rows."""
    if len(holds) >= BITS:
        return np.full(holds.shape[1], (1 << BITS) - 1, dtype=np.int64)
    bits: Ints = (holds * (1 << np.arange(len(holds)))[:, None]).sum(axis=0)
    return bits


def _leftovers(similarity: Floats, sources: Ints, used: NDArray[np.bool_], again: bool) -> tuple[Floats, Ints]:
    """Return with what a unit that is left over is paired in each of `sources`, 0 if with nothing, and the place of its
    partner: a free unit, or one used once more."""
    free = np.where(used[:, sources], -1.0, similarity)
    place, best = free.argmax(axis=0), free.max(axis=0)
    if again:
        reused = REUSE * similarity
        value = reused.max(axis=0)
        place, best = np.where(best >= value, place, reused.argmax(axis=0)), np.maximum(best, value)
    enough = best >= ENOUGH
    used[place[enough], sources[enough]] = True
    return np.where(enough, best, 0.0), place
