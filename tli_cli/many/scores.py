"""Rows of the matrix of all scores by `dp`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.arrays import Ints, ragged
from tli_cli.many.blocks import Blocks
from tli_cli.many.ends import Ends
from tli_cli.many.profiles import Catalogued, Profile
from tli_cli.many.stages import Stages
from tli_cli.matching.anchors import A_HEAD
from tli_cli.matching.dp import match_sides
from tli_cli.matching.lone_tables import SAME, added_tables
from tli_cli.matching.sides import Side
from tli_cli.matching.tied import table_heads
from tli_cli.scoring.score import fed_weights, ratio
from tli_cli.scoring.wholes import PARTS


class Holders:
    """Who holds each number, for the numbers that more than one holds."""

    def __init__(self, held: Sequence[Ints]) -> None:
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *held])
        order = np.argsort(numbers, kind="stable")
        holders = np.repeat(np.arange(len(held)), [len(own) for own in held])[order]
        different, start, count = np.unique(numbers[order], return_index=True, return_counts=True)
        shared = count > 1
        self._numbers, self._start, self._count = different[shared], start[shared], count[shared]
        self._holders = holders

    def of(self, numbers: Ints) -> Ints:
        """Return all holders of any of `numbers`, some of them several times."""
        if not len(self._numbers):
            return np.zeros(0, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        at = at[self._numbers[at] == numbers]
        parts = [self._holders[a : a + n] for a, n in zip(self._start[at], self._count[at], strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


UNKNOWN = -1
MOST_KEPT = 1024


class ManyScores:
    """Architectures made ready to be scored against each other by `dp`."""

    def __init__(self, sides: Sequence[Side]) -> None:
        self._known = Catalogued()
        self._profiles = [Profile(side, self._known) for side in sides]
        self._blocks = Blocks(self._known)
        self._certain = Holders([profile.certain for profile in self._profiles])
        self._near = Holders([profile.near for profile in self._profiles])
        self._bodies = np.array([len(profile.side.ends[1]) for profile in self._profiles])
        self._weighted = np.array([profile.side.weighted for profile in self._profiles])
        self._alone = np.array([bool(p.side.architecture.graph) and not table_heads(p.side) for p in self._profiles])
        self._adding = np.array([bool(added_tables(profile.side)) for profile in self._profiles])
        self._copied = np.array([bool(profile.side.copies) for profile in self._profiles])
        self._sizes = np.array([profile.size for profile in self._profiles])
        self._stems = np.array([profile.stem for profile in self._profiles])
        self._heads = np.array([profile.head for profile in self._profiles])
        for side in sides:
            side.forget_hashes()
        self._ends = Ends(self._known, self._blocks)
        self._runs, self._stage_counts = ragged([profile.runs for profile in self._profiles])
        self._stages = Stages(self._profiles)
        self._fed_by_stages: dict[int, Ints] = {}

    def row(self, target: int) -> list[float]:
        """Return the scores of all sources into the one at `target`."""
        wanted = self._profiles[target]
        apart = self._apart(target)
        fed = np.zeros(len(self._profiles), dtype=np.int64)
        if apart.any():
            fed[apart] = self._fed_apart(target, np.flatnonzero(apart))
        for source in np.flatnonzero(~apart).tolist():
            fed[source] = _fed_by_matching(self._profiles[source], wanted)
        return [ratio(value, wanted.total) for value in fed.tolist()]

    def _apart(self, target: int) -> NDArray[np.bool_]:
        """Return for which sources nothing but the blocks decides: the graphs prove no pair, no places to compare."""
        wanted = self._profiles[target]
        apart: NDArray[np.bool_] = self._alone & (self._sizes != self._sizes[target])
        apart &= bool(wanted.side.architecture.graph)
        apart[self._maybe_one(target)] = False
        apart[self._certain.of(wanted.certain)] = False
        near = np.abs(self._bodies - self._bodies[target]) <= 1
        near |= np.abs(self._weighted - self._weighted[target]) <= A_HEAD
        alike = self._near.of(wanted.near)
        apart[alike[near[alike]]] = False
        return apart

    def _maybe_one(self, target: int) -> list[int]:
        """Return the sources that may be one network with `target` but for tables of positions on one side alone, and
        for copies of networks, which do not count there."""
        wanted = self._profiles[target].side
        least = SAME * np.maximum(self._weighted, wanted.weighted)
        near = (np.minimum(self._weighted, wanted.weighted) >= least) | self._copied | self._copied[target]
        others = np.flatnonzero(near & (self._adding != self._adding[target])).tolist()
        sides = [(i, self._profiles[i].side) for i in others]
        return [
            i for i, side in sides if (side.shapes & wanted.shapes).total() >= least[i] or side.copies or wanted.copies
        ]

    def _fed_apart(self, target: int, sources: Ints) -> Ints:
        """Return what `sources`, which are apart from `target`, feed it, in units of 1 / `PARTS` of a weight's."""
        wanted = self._profiles[target]
        fed = self._ends.fed(wanted.stem, self._stems[sources]) + self._ends.fed(wanted.head, self._heads[sources])
        fed *= PARTS
        staged = np.flatnonzero(self._stage_counts[sources]) if wanted.runs else np.zeros(0, dtype=np.int64)
        if not len(staged):
            return fed
        paired = self._stages.paired(target, sources[staged])
        runs = self._runs[sources[staged, None], paired.stages]
        self._look_up(wanted.runs, runs, paired.added)
        for i, run in enumerate(wanted.runs):
            own = self._fed_by_stages[run][paired.added[:, i].astype(np.int64), runs[:, i]]
            fed[staged] += paired.layers[:, i] * own + paired.whole[:, i] * wanted.weights[i]
        return fed

    def _look_up(self, targets: Sequence[int], runs: Ints, added: NDArray[np.bool_]) -> None:
        """See to it that what `runs` feed the runs `targets` as stages is known: `(sources, targets)`."""
        requests = []
        for run in dict.fromkeys(targets):
            known, same = self._kept(run), np.array(targets) == run
            for once_more in (False, True):
                offered = runs[:, same][added[:, same] == once_more]
                missing = np.unique(offered[known[int(once_more), offered] == UNKNOWN])
                if len(missing):
                    requests.append((run, missing, once_more))
        for (run, missing, once_more), fed in zip(requests, self._blocks.fed_by_runs(requests), strict=True):
            self._fed_by_stages[run][int(once_more), missing] = fed
        while len(self._fed_by_stages) > max(MOST_KEPT, len(targets)):
            del self._fed_by_stages[next(iter(self._fed_by_stages))]

    def _kept(self, run: int) -> Ints:
        """Return what is known of what feeds `run`, as the last that was used: the first is the first to be dropped."""
        known = self._fed_by_stages.pop(run, None)
        if known is None:
            known = np.full((2, len(self._known.runs)), UNKNOWN, dtype=np.int64)
        self._fed_by_stages[run] = known
        return known


def _fed_by_matching(source: Profile, target: Profile) -> int:
    matching = match_sides(source.side, target.side)
    theirs = source.standing if matching.sources == source.side.units else None
    mine = target.standing if matching.targets == target.side.units else None
    return sum(fed_weights(matching, theirs, mine).values())
