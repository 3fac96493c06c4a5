"""Pairs that the user asks for: a layer or module of the target that is fed from one of the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import enclosing
from tli_cli.errors import TliError
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair

ASKED = "paired as asked for"

_Units = Sequence[tuple[str, Unit]]
"""Units, each with its name in the module that was asked for."""
_ALIKE: tuple[Callable[[str, Unit], object], ...] = (
    lambda name, unit: (name, unit.part, unit.kind, unit.role),
    lambda name, unit: (unit.kind, unit.role),
    lambda name, unit: unit.kind,
)


def as_asked(matchings: Sequence[Matching], pairs: Sequence[str]) -> Sequence[Matching]:
    """Return `matchings`, one for each source, with `pairs`, each of them `TARGET=SOURCE`, in place of their own.

    Raises:
        TliError: a pair is none, names nothing, or is one of modules whose layers are of other kinds.
    """
    for text in pairs:
        mine, _, theirs = (part.strip() for part in text.partition("="))
        targets = _within(matchings[0].targets, mine)
        found = [_within(matching.sources, theirs) for matching in matchings]
        lost = [f"the target has no {mine!r}"] * (not targets) + [f"no source has {theirs!r}"] * (not any(found))
        if lost:
            raise TliError(f"--pair {text}: expected TARGET=SOURCE, a layer or module of each; {' and '.join(lost)}")
        model = next(index for index, sources in enumerate(found) if sources)
        given = _paired(targets, found[model], text)
        matchings = [_with(m, targets, given if i == model else {}) for i, m in enumerate(matchings)]
    return matchings


def fed_as_asked(matchings: Sequence[Matching], target: Architecture) -> set[str]:
    """Return the tensors of the target's layers that take what was asked for, and not what the matchers found."""
    places = {pair.target.place for matching in matchings for pair in matching.pairs if pair.asked}
    return {name for place in places for _, name in target.layers[place].tensors}


def _within(units: Sequence[Unit], module: str) -> _Units:
    return [(unit.path[len(module) :], unit) for unit in units if module in enclosing(unit.path)]


def _paired(targets: _Units, sources: _Units, text: str) -> Mapping[Key, Unit]:
    """Return the source unit for each target unit: the one of its name, or else the next one of its role, or kind."""
    for alike in _ALIKE:
        given: dict[object, list[Unit]] = {}
        for name, unit in sources:
            given.setdefault(alike(name, unit), []).append(unit)
        if Counter(alike(*named) for named in targets) == {key: len(units) for key, units in given.items()}:
            return {unit.key: given[alike(name, unit)].pop(0) for name, unit in targets}
    kinds = (Counter(unit.kind for _, unit in units) for units in (targets, sources))
    mine, theirs = (", ".join(f"{count} {kind}" for kind, count in counts.items()) for counts in kinds)
    raise TliError(f"--pair {text}: expected as many layers of each kind in both, found {mine} for {theirs}")


def _with(matching: Matching, targets: _Units, given: Mapping[Key, Unit]) -> Matching:
    """Return `matching` in which `targets` are fed from what is `given` for them alone."""
    keys = {unit.key for _, unit in targets}
    kept = {key: pair for key, pair in matching.by_target.items() if key not in keys}
    asked = {unit.key: _pair(matching, unit, given[unit.key]) for _, unit in targets if unit.key in given}
    made = matching.with_pairs({**kept, **asked})
    added = matching.added_blocks - {b.name for b in matching.target_blocks if keys & {unit.key for unit in b.units}}
    return replace(made, added_blocks=added, one_network=matching.one_network and made.pairs == matching.pairs)


def _pair(matching: Matching, target: Unit, source: Unit) -> Pair:
    own = matching.by_target.get(target.key)
    if own is not None and own.source.key == source.key and not own.repeat:
        return own
    return Pair(target, source, unit_similarity(target, source), asked=True)
