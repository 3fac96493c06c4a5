"""Pairs that the user asks for: a layer or module of the target that is fed from one of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import enclosing
from tli_cli.errors import TliError
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair

ASKED = "paired as asked for"

_Units = Mapping[tuple[str, int], Unit]


def as_asked(matchings: Sequence[Matching], pairs: Sequence[str]) -> Sequence[Matching]:
    """Return `matchings`, one for each source, with `pairs`, each of them `TARGET=SOURCE`, in place of their own.

    Raises:
        TliError: a pair is none, names nothing, or is one of modules whose layers are not of the same kinds.
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
    """Return the units in `module`, by their names within it and their parts."""
    return {(unit.path[len(module) :], unit.part): unit for unit in units if module in enclosing(unit.path)}


def _paired(targets: _Units, sources: _Units, text: str) -> Mapping[Key, Unit]:
    """Return the source unit for each target unit: the one of its name, or else, one by one, that in its place."""
    named = targets.keys() == sources.keys()
    given = [sources[name] for name in targets] if named else list(sources.values())
    mine, theirs = (", ".join(unit.kind for unit in units) for units in (targets.values(), given))
    if mine != theirs:
        raise TliError(f"--pair {text}: expected layers of the same kinds in both, found {mine} for {theirs}")
    return {unit.key: source for unit, source in zip(targets.values(), given, strict=True)}


def _with(matching: Matching, targets: _Units, given: Mapping[Key, Unit]) -> Matching:
    """Return `matching` in which `targets` are fed from what is `given` for them alone."""
    keys = {unit.key for unit in targets.values()}
    kept = {key: pair for key, pair in matching.by_target.items() if key not in keys}
    asked = {u.key: _pair(matching, u, given[u.key]) for u in targets.values() if u.key in given}
    made = matching.with_pairs({**kept, **asked})
    added = matching.added_blocks - {b.name for b in matching.target_blocks if keys & {unit.key for unit in b.units}}
    return replace(made, added_blocks=added, one_network=matching.one_network and made.pairs == matching.pairs)


def _pair(matching: Matching, target: Unit, source: Unit) -> Pair:
    own = matching.by_target.get(target.key)
    if own is not None and own.source.key == source.key and not own.repeat:
        return own
    return Pair(target, source, unit_similarity(target, source), asked=True)
