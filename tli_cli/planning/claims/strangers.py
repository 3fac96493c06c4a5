"""Layers of bare checkpoints that are fed from one of their shape, while nothing beside them is fed from beside it: the
classifier of a decoder from that of a network without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import enclosing
from tli_cli.matching.namesakes import namesakes
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair

Held = Mapping[str, Collection[Key]]
"""What has weights in each module."""

SEVERAL = 2
"""One layer without a namesake may be a head that is called otherwise."""
MISNAMED = "most layers have one name in both networks, and its partner has another"
STRANGER = "nothing beside it is made of what stands beside its partner"


def misnamed(matching: Matching, target: Architecture, source: Architecture) -> dict[int, str]:
    """Return the target's layers, by place, whose partners have other names, in modules without any namesake, where two
    networks share the names of most layers and several of the target's have none: what is around the one is not what is
    around the other."""
    sides = Side(source).of(matching.sources), Side(target).of(matching.targets)
    partners = {t.key: s.key for t, s in namesakes(*sides)}
    own = [unit for unit in matching.targets if unit.kind in WEIGHTED and unit.key not in partners]
    if not partners or len(own) < SEVERAL:
        return {}
    shared = {unit.path.partition(".")[0] for unit in matching.targets if unit.key in partners}
    around = (p for p in matching.pairs if p.target.path.partition(".")[0] not in shared)
    return {p.target.place: MISNAMED for p in around if partners.get(p.target.key) != p.source.key}


def strangers(matching: Matching) -> dict[int, str]:
    """Return for such layers of the target, by place, what speaks against them.

    Beside a layer stands what its module holds; of one that stands alone there, the module around that. Beside a norm
    layers of another size do, as that before it where the input has other channels.
    """
    mine, theirs = _held(matching.targets), _held(matching.sources)
    found = _alone(
        [pair for pair in matching.pairs if pair.target.kind in WEIGHTED],
        {p.target.key: p.source.key for p in matching.pairs if p.target.exact_label == p.source.exact_label},
        mine,
        theirs,
    )
    alike = (p for p in matching.pairs if p.target.form_label == p.source.form_label and p.target.place not in found)
    norms = [pair for pair in matching.pairs if pair.target.kind == "norm"]
    return found | _alone(norms, {p.target.key: p.source.key for p in alike}, mine, theirs)


def _alone(pairs: Sequence[Pair], fed: Mapping[Key, Key], mine: Held, theirs: Held) -> dict[int, str]:
    """Return the layers of `pairs`, by place, beside which nothing is `fed` from beside their partners, though there is
    something."""

    @cache
    def given(here: str, there: str) -> frozenset[Key]:
        """Return which layers in the module `there` feed such in the module `here`."""
        return frozenset(fed[key] for key in mine[here] if fed.get(key) in theirs[there])

    found = {}
    for pair in pairs:
        here, there = _home(pair.target, mine), _home(pair.source, theirs)
        beside = {*mine[here]} - {pair.target.key} or {*theirs[there]} - {pair.source.key}
        if beside and given(here, there) <= {pair.source.key}:
            found[pair.target.place] = STRANGER
    return found


def _held(units: Sequence[Unit]) -> Held:
    """Return for each module all that has weights in it."""
    held: dict[str, set[Key]] = defaultdict(set)
    for unit in units:
        for module in _modules(unit.path) if unit.kind in WEIGHTED else ():
            held[module].add(unit.key)
    return held


def _home(unit: Unit, held: Held) -> str:
    """Return the innermost module that holds a unit with weights beside `unit`."""
    own = unit.parts if unit.kind in WEIGHTED else 0
    return next((module for module in _modules(unit.path) if len(held.get(module, ())) > own), "")


def _modules(path: str) -> Sequence[str]:
    """Return the modules around a layer, the innermost first, the network itself last."""
    return (*enclosing(path)[-2::-1], "")
