"""Rows of the matrix of all scores by `dp`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tli_cli.architecture import Architecture
from tli_cli.many.alignments import Ints
from tli_cli.many.arrays import ragged
from tli_cli.many.blocks import Blocks
from tli_cli.many.ends import Ends
from tli_cli.many.profiles import Catalogued, Profile
from tli_cli.many.stages import Stages
from tli_cli.matching.dp import match_sides
from tli_cli.scoring import fed_weights, ratio

UNKNOWN = -1


class ManyScores:
    """Architectures made ready to be scored against each other by `dp`."""

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        self._known = Catalogued()
        self._profiles = [Profile(architecture, self._known) for architecture in architectures]
        self._blocks = Blocks(self._known)
        self._holders = _holders(self._profiles)
        self._has_graph = np.array([bool(architecture.graph) for architecture in architectures])
        self._sizes = np.array([profile.size for profile in self._profiles])
        self._stems = np.array([profile.stem for profile in self._profiles])
        self._heads = np.array([profile.head for profile in self._profiles])
        self._ends = Ends(self._known, self._blocks)
        self._runs, self._stage_counts = ragged([profile.runs for profile in self._profiles])
        self._stages = Stages(self._profiles)
        self._fed_by_stages: dict[tuple[int, bool], Ints] = {}

    def row(self, target: int) -> list[float]:
        """Return the scores of all sources into the one at `target`."""
        wanted = self._profiles[target]
        apart = self._apart(target)
        fed = np.zeros(len(self._profiles), dtype=np.int64)
        fed[apart] = self._fed_apart(target, np.flatnonzero(apart))
        for source in np.flatnonzero(~apart).tolist():
            fed[source] = _fed_by_matching(self._profiles[source], wanted)
        return [ratio(value, wanted.total) for value in fed.tolist()]

    def _apart(self, target: int) -> NDArray[np.bool_]:
        """Return for which sources nothing but the blocks decides: no fingerprint in common, no places to compare."""
        apart: NDArray[np.bool_] = self._has_graph & (self._sizes != self._sizes[target])
        apart &= bool(self._has_graph[target])
        for fingerprint in self._profiles[target].fingerprints:
            if fingerprint in self._holders:
                apart[self._holders[fingerprint]] = False
        return apart

    def _fed_apart(self, target: int, sources: Ints) -> Ints:
        """Return what `sources`, which are apart from `target`, feed it."""
        wanted = self._profiles[target]
        fed = self._ends.fed(wanted.stem, self._stems[sources]) + self._ends.fed(wanted.head, self._heads[sources])
        staged = np.flatnonzero(self._stage_counts[sources]) if wanted.runs else np.zeros(0, dtype=np.int64)
        if not len(staged):
            return fed
        paired = self._stages.paired(target, sources[staged])
        asked: dict[tuple[int, bool], list[tuple[Ints, Ints]]] = {}
        for i, run in enumerate(wanted.runs):
            runs = self._runs[sources[staged], paired.stages[:, i]]
            for added in (False, True):
                chosen = paired.added[:, i] == added
                asked.setdefault((run, added), []).append((staged[chosen], runs[chosen]))
        used = {key: [np.concatenate(parts) for parts in zip(*uses, strict=True)] for key, uses in asked.items()}
        self._look_up({key: runs for key, (_, runs) in used.items()})
        for key, (places, runs) in used.items():
            np.add.at(fed, places, self._fed_by_stages[key][runs])
        return fed

    def _look_up(self, wanted: Mapping[tuple[int, bool], Ints]) -> None:
        """See to it that what runs feed each other as stages is known."""
        requests = []
        for (target, added), runs in wanted.items():
            unknown = np.full(len(self._known.runs), UNKNOWN, dtype=np.int64)
            known = self._fed_by_stages.setdefault((target, added), unknown)
            missing = np.unique(runs[known[runs] == UNKNOWN])
            if len(missing):
                requests.append((target, missing, added))
        for (target, missing, added), fed in zip(requests, self._blocks.fed_by_runs(requests), strict=True):
            self._fed_by_stages[target, added][missing] = fed


def _fed_by_matching(source: Profile, target: Profile) -> int:
    matching = match_sides(source.side, target.side)
    return sum(fed_weights(matching, source.standing, target.standing).values())


def _holders(profiles: Sequence[Profile]) -> dict[int, Ints]:
    """Return which profiles hold a fingerprint, for those that more than one holds."""
    found: dict[int, list[int]] = {}
    for i, profile in enumerate(profiles):
        for fingerprint in profile.fingerprints:
            found.setdefault(fingerprint, []).append(i)
    return {fingerprint: np.array(places) for fingerprint, places in found.items() if len(places) > 1}
