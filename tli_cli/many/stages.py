"""Pairs of stages for one target against many sources side by side, as `matching.blocks` pairs them."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tli_cli.many.alignments import Floats, Ints, align_all
from tli_cli.many.arrays import Bags, alike, ragged
from tli_cli.many.numbering import Numbering
from tli_cli.many.profiles import Profile
from tli_cli.matching import blocks as pairing


class Paired(NamedTuple):
    """For each source and target stage the source stage that feeds it, and whether the target stage is an added one."""

    stages: Ints
    added: NDArray[np.bool_]


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
                self._falls[i, : len(profile.stages)] = pairing._falls(profile.stages, profile.first_level)
        self._known: dict[int, Paired] = {}

    def paired(self, target: int, sources: Ints) -> Paired:
        """Return the pairs of the target numbered `target` with each of `sources`, all of which have stages."""
        form = int(self._form[target])
        if form not in self._known:
            self._known[form] = self._paired_forms(target)
        known = self._known[form]
        return Paired(known.stages[self._form[sources]], known.added[self._form[sources]])

    def _paired_forms(self, target: int) -> Paired:
        """Return the pairs with every form that occurs."""
        count = int(self._lengths[target])
        likeness = np.stack([self._bags.overlap(int(form)) for form in self._stages[target, :count]])
        found = np.zeros((len(self._first), count), dtype=np.int64)
        added = np.zeros((len(self._first), count), dtype=np.bool_)
        for group in alike(self._lengths[self._first], count):
            chosen = group[self._lengths[self._first[group]] > 0]
            if not len(chosen):
                continue
            sources = self._first[chosen]
            widths = self._lengths[sources]
            width = int(widths.max())
            overlap = likeness[:, self._stages[sources, :width]].transpose(1, 0, 2)
            falls = self._falls[target, :count, None] - self._falls[sources, None, :width]
            levels = 0.5 * _exp(-np.abs(falls[..., 0]) / 2) + 0.5 * _exp(-np.abs(falls[..., 1]) / 2)
            table = 0.3 * overlap + 0.7 * levels
            matched = align_all(table, widths)
            table[np.broadcast_to(np.arange(width) >= widths[:, None, None], table.shape)] = -1.0
            found[chosen] = np.where(matched >= 0, matched, table.argmax(axis=2))
            added[chosen] = matched < 0
        return Paired(found, added)


def _exp(values: Floats) -> Floats:
    """Return what `math.exp` says of each, to the last digit."""
    different, places = np.unique(values, return_inverse=True)
    found: Floats = np.array([exp(value) for value in different.tolist()])[places.reshape(values.shape)]
    return found
