"""Pairs of stages for one target against many sources side by side, as `matching.stages` pairs them."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.alignments import align_all
from tli_cli.many.arrays import Bags, Floats, Ints, Numbering, alike, ragged
from tli_cli.many.profiles import Profile
from tli_cli.matching import stages as pairing
from tli_cli.matching.mixing import KINDS
from tli_cli.matching.residuals import room_for, trunk_likeness
from tli_cli.scoring.wholes import ALIEN, PARTS, WHOLE


class Paired(NamedTuple):
    """For each source and target stage the source stage that feeds it, whether the target stage is an added one, and
    their `stage_shares`."""

    stages: Ints
    added: NDArray[np.bool_]
    layers: Ints
    whole: Ints


class Stages:
    """The stages of all profiles, as arrays."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        numbers = Numbering()
        self._form = np.array([numbers.of(profile.form) for profile in profiles], dtype=np.int64)
        first = [int(np.argmax(self._form == form)) for form in range(len(numbers))]
        self._first = np.array(first, dtype=np.int64)
        forms = {id(stage.forms): stage.forms for profile in profiles for stage in profile.stages}
        place = {key: i for i, key in enumerate(forms)}
        self._bags = Bags(list(forms.values()))
        self._stages, self._lengths = ragged([[place[id(s.forms)] for s in profile.stages] for profile in profiles])
        self._falls = np.zeros((*self._stages.shape, 2))
        for i, profile in enumerate(profiles):
            if profile.stages:
                self._falls[i, : len(profile.stages)] = pairing.falls(profile.stages, profile.first_level)
        self._blocks = np.zeros(self._stages.shape, dtype=np.int64)
        for i, profile in enumerate(profiles):
            self._blocks[i, : len(profile.stages)] = [len(stage.blocks) for stage in profile.stages]
        self._residual = [profile.side.residual for profile in profiles]
        self._mixing = np.zeros((*self._stages.shape, len(KINDS)))
        for i, profile in enumerate(profiles):
            for j, stage in enumerate(profile.stages):
                self._mixing[i, j] = stage.mixing
        self._known: dict[int, Paired] = {}

    def paired(self, target: int, sources: Ints) -> Paired:
        """Return the pairs of the target numbered `target` with each of `sources`, all of which have stages."""
        form = int(self._form[target])
        if form not in self._known:
            self._known[form] = self._paired_forms(target)
        known = self._known[form]
        form_of = self._form[sources]
        return Paired(known.stages[form_of], known.added[form_of], known.layers[form_of], known.whole[form_of])

    def _paired_forms(self, target: int) -> Paired:
        """Return the pairs with every form that occurs."""
        count = int(self._lengths[target])
        likeness = np.stack([self._bags.overlap(int(form)) for form in self._stages[target, :count]])
        found, layers, whole = np.zeros((3, len(self._first), count), dtype=np.int64)
        added = np.zeros((len(self._first), count), dtype=np.bool_)
        for group in alike(self._lengths[self._first], count):
            chosen = group[self._lengths[self._first[group]] > 0]
            if not len(chosen):
                continue
            sources = self._first[chosen]
            widths = self._lengths[sources]
            width = int(widths.max())
            overlap = likeness[:, self._stages[sources, :width].T]
            falls = self._falls[target, :count, None, None] - self._falls[sources, :width].transpose(1, 0, 2)
            levels = 0.5 * _exp(-np.abs(falls[..., 0]) / 2) + 0.5 * _exp(-np.abs(falls[..., 1]) / 2)
            table = pairing.STAGE_FORMS * overlap + pairing.STAGE_LEVEL * levels
            matched = align_all(table, widths)
            table[:, np.arange(width)[:, None] >= widths] = -1.0
            partner = np.where(matched >= 0, matched, table.argmax(axis=1))
            found[chosen], added[chosen] = partner.T, matched.T < 0
            here = np.arange(count)[:, None]
            trunk = np.array([trunk_likeness(self._residual[target], self._residual[source]) for source in sources])
            mine, theirs = self._mixing[target, :count, None], self._mixing[sources, partner]
            kinship = _mixing_likeness(np.minimum(mine, theirs), mine, theirs)
            reach = trunk * _mixing_reach(kinship, mine, theirs)
            given = _given(self._blocks[sources, :width], partner)
            room = _room(self._blocks[target, :count], given, partner, self._residual[target])
            room[:, trunk != 1] = 1.0
            fit = reach * levels[here, partner, np.arange(len(sources))]
            shares = _stage_shares(trunk * kinship, fit, room)
            layers[chosen], whole[chosen] = (share.T for share in shares)
        return Paired(found, added, layers, whole)


def _mixing_likeness(alike: Floats, first: Floats, second: Floats) -> Floats:
    """Return `mixing_likeness` of each pair, `alike` the smaller of their shares, which are the last axis."""
    likeness: Floats = alike[..., 0] + alike[..., 1] + alike[..., 2]
    return np.where(first.any(axis=-1) | second.any(axis=-1), likeness, 1.0)


def _mixing_reach(likeness: Floats, target: Floats, source: Floats) -> Floats:
    """Return `mixing_reach` of each pair, from its `mixing_likeness`."""
    attention = np.maximum(target[..., 1] - source[..., 1], 0.0)
    others = source[..., 0] + source[..., 1] + source[..., 2] - likeness
    found: Floats = likeness + np.minimum(others, attention)
    return np.where(source.any(axis=-1), found, likeness)


def _given(blocks: Ints, partner: Ints) -> Ints:
    """Return how many source blocks each target stage stands for, those of unused stages included: `(targets,
    sources)`, from the `(sources, stages)` blocks of each source's stages."""
    count, width = blocks.shape
    here, places = np.arange(count), np.arange(width)
    used = np.zeros((count, width), dtype=np.bool_)
    used[here, partner] = True
    last = np.maximum.accumulate(np.where(used, places, -1), axis=1)
    owner = np.where(last < 0, used.argmax(axis=1)[:, None], last)
    total = np.zeros_like(blocks)
    np.add.at(total, (here[:, None], owner), blocks)
    return total[here, partner]


def _room(wanted: Ints, given: Ints, partner: Ints, residual: bool | None) -> Floats:
    """Return `room_for` each pair: `(targets, sources)`, from the blocks of each target stage and of its partner."""
    users = np.where(partner[:, None] == partner[None], wanted[:, None, None], 0).sum(axis=0)
    pairs, places = np.unique(np.stack([users, given]).reshape(2, -1), axis=1, return_inverse=True)
    found: Floats = np.array([room_for(users, blocks, residual) for users, blocks in pairs.T.tolist()])[
        places.reshape(partner.shape)
    ]
    return found


def _stage_shares(kinship: Floats, fit: Floats, room: Floats) -> tuple[Floats, Floats]:
    """Return `stage_shares` of each pair, of which `room` alone does not count: no layer here is an identical one."""
    whole = np.rint(PARTS * WHOLE * fit * room)
    return np.rint((np.rint(PARTS * room) - whole) * (ALIEN + (1 - ALIEN) * kinship)), whole


def _exp(values: Floats) -> Floats:
    """Return what `math.exp` says of each, to the last digit."""
    different, places = np.unique(values, return_inverse=True)
    found: Floats = np.array([exp(value) for value in different.tolist()])[places.reshape(values.shape)]
    return found
