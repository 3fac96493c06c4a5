"""Rows of the matrix of all scores by `dp`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tli_cli.architecture import Architecture
from tli_cli.many.alignments import Ints
from tli_cli.many.blocks import Blocks
from tli_cli.many.profiles import Catalogued, Profile
from tli_cli.matching import blocks as pairing
from tli_cli.matching.bags import overlap
from tli_cli.matching.dp import match_sides, pair_units
from tli_cli.matching.segments import Stage
from tli_cli.scoring import fed_weight, fed_weights, ratio, unit_weight

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
        self._stage_pairs: dict[tuple[Hashable, Hashable], list[tuple[int, int, bool]]] = {}
        self._ends: dict[tuple[int, int], int] = {}
        self._stages: dict[tuple[int, bool], Ints] = {}

    def row(self, target: int) -> list[float]:
        """Return the scores of all sources into the one at `target`."""
        wanted = self._profiles[target]
        apart = self._apart(target)
        fed = np.zeros(len(self._profiles), dtype=np.int64)
        fed[apart] = self._fed_apart(wanted, np.flatnonzero(apart))
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

    def _fed_apart(self, target: Profile, sources: Ints) -> Ints:
        fed = np.zeros(len(sources), dtype=np.int64)
        asked: dict[tuple[int, bool], list[tuple[int, int]]] = {}
        for place, number in enumerate(sources.tolist()):
            source = self._profiles[number]
            fed[place] = self._fed_by_ends(target.stem, source.stem) + self._fed_by_ends(target.head, source.head)
            for i, j, added in self._paired_stages(target, source):
                asked.setdefault((target.runs[i], added), []).append((place, source.runs[j]))
        used = {key: np.array(uses).T for key, uses in asked.items()}
        self._look_up({key: runs for key, (_, runs) in used.items()})
        for key, (places, runs) in used.items():
            np.add.at(fed, places, self._stages[key][runs])
        return fed

    def _look_up(self, wanted: Mapping[tuple[int, bool], Ints]) -> None:
        """See to it that what runs feed each other as stages is known."""
        requests = []
        for (target, added), runs in wanted.items():
            known = self._stages.setdefault((target, added), np.full(len(self._known.runs), UNKNOWN, dtype=np.int64))
            missing = np.unique(runs[known[runs] == UNKNOWN])
            if len(missing):
                requests.append((target, missing, added))
        for (target, missing, added), fed in zip(requests, self._blocks.fed_by_runs(requests), strict=True):
            self._stages[target, added][missing] = fed

    def _paired_stages(self, target: Profile, source: Profile) -> list[tuple[int, int, bool]]:
        key = (target.form, source.form)
        if key not in self._stage_pairs:
            reference = (target.first_level, source.first_level)
            pairs = pairing._pair_stages(target.stages, source.stages, reference)
            mine, theirs = _places(target.stages), _places(source.stages)
            self._stage_pairs[key] = [(mine[id(t)], theirs[id(s)], added) for t, s, added in pairs]
        return self._stage_pairs[key]

    def _fed_by_ends(self, target: int, source: int) -> int:
        """Return what one stem or head feeds another."""
        key = (target, source)
        if key not in self._ends:
            self._ends[key] = self._fed_by_new_ends(*key)
        return self._ends[key]

    def _fed_by_new_ends(self, target: int, source: int) -> int:
        targets, sources = self._known.run_blocks[target], self._known.run_blocks[source]
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


def _places(stages: Sequence[Stage]) -> dict[int, int]:
    return {id(stage): i for i, stage in enumerate(stages)}
