"""Layers of bare checkpoints that are fed from one of their shape, while nothing beside them is fed from beside it: the
classifier of a decoder from that of a network without one. So do members of lists that code goes through side by side,
such as layers and the norms before them, that are fed from different places."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import enclosing, unnumbered
from tli_cli.describe.vocabulary_places import module_places
from tli_cli.grouping import gathered, grouped
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

    Beside a layer stands what its module holds; of one that stands alone there, the module around that. Beside a norm,
    a scale or a table layers of another size do, as that before it where the input has other channels.
    """
    mine, theirs = _held(matching.targets), _held(matching.sources)
    found = _alone(
        [pair for pair in matching.pairs if pair.target.kind in WEIGHTED],
        {p.target.key: p.source.key for p in matching.pairs if p.target.exact_label == p.source.exact_label},
        mine,
        theirs,
    )
    alike = (p for p in matching.pairs if p.target.form_label == p.source.form_label and p.target.place not in found)
    others = [pair for pair in matching.pairs if pair.target.kind not in WEIGHTED]
    return found | _alone(others, {p.target.key: p.source.key for p in alike}, mine, theirs)


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


NUMBER = re.compile(r"\.([0-9]+)(?=\.|$)")
TORN = "what stands beside it in another list is fed from another place"


class Member(NamedTuple):
    """A module of a list: the list's path, and which it is."""

    home: str
    number: int


def torn_lists(matching: Matching) -> dict[int, str]:
    """Return what speaks against layers of the target, by place, in lists of one module and of one length of which
    each is fed from one of the source's, member by member, but not from equal places."""
    partners: dict[str, dict[int, set[Member | None]]] = defaultdict(lambda: defaultdict(set))
    held = [(pair, _member(pair.target.path)) for pair in matching.pairs]
    for pair, member in held:
        if member is not None:
            partners[member.home][member.number].add(_member(pair.source.path))
    fed = {home: row for home, found in partners.items() if (row := _row(found))}
    members = filter(None, (_member(unit.path) for unit in matching.targets))
    numbers = {home: {*row} for home, row in gathered((member.home, member.number) for member in members).items()}
    torn = {member for group in _side_by_side(fed, numbers) for member in _torn(group, fed)}
    return {pair.target.place: TORN for pair, member in held if member in torn}


def _member(path: str) -> Member | None:
    """Return the outermost numbered module that a layer stands in, of a list that has a name."""
    found = NUMBER.search(path)
    return Member(path[: found.start()], int(found[1])) if found else None


def _row(found: Mapping[int, set[Member | None]]) -> dict[int, int]:
    """Return from which of one list of the source each member of a list is fed; nothing where it is not from one."""
    members = [member for partners in found.values() for member in partners]
    lists = {member.home if member else "" for member in members}
    if len(lists) > 1 or "" in lists or len(members) > len(found):
        return {}
    return {number: member.number for number, partners in found.items() for member in partners if member}


def _side_by_side(fed: Mapping[str, Mapping[int, int]], numbers: Mapping[str, set[int]]) -> Iterator[Sequence[str]]:
    """Yield the lists `fed` from one each that stand in one module and have as many members. Numbered ones of which
    each is fed from one place alone, as stages are, stand behind each other, as an encoder and a decoder do."""
    groups = grouped(fed, lambda home: (home.rpartition(".")[0], module_places(home), frozenset(numbers[home])))
    for group in groups.values():
        rows = Counter(unnumbered(home) for home in group if len({*fed[home].values()}) == 1)
        beside = [home for home in group if rows[unnumbered(home)] < 2]
        yield from [beside] if len(beside) > 1 else []


def _torn(group: Sequence[str], fed: Mapping[str, Mapping[int, int]]) -> Iterator[Member]:
    """Yield the members of lists side by side in whose places another list is fed from another place."""
    for number in {number for home in group for number in fed[home]}:
        if len({fed[home][number] for home in group if number in fed[home]}) > 1:
            yield from (Member(home, number) for home in group)
