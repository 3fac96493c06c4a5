"""Lists of modules that code goes through side by side, such as layers and the norms before them, and whose members are
fed from different places of the source's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tli_cli.matching.values import Matching

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
    numbers: dict[str, set[int]] = defaultdict(set)
    for member in (_member(unit.path) for unit in matching.targets):
        if member is not None:
            numbers[member.home].add(member.number)
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
    """Yield the lists `fed` from one each that stand in one module and have as many members."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for home in fed:
        groups[home.rpartition(".")[0], frozenset(numbers[home])].append(home)
    yield from (group for group in groups.values() if len(group) > 1)


def _torn(group: Sequence[str], fed: Mapping[str, Mapping[int, int]]) -> Iterator[Member]:
    """Yield the members of lists side by side in whose places another list is fed from another place."""
    for number in {number for home in group for number in fed[home]}:
        if len({fed[home][number] for home in group if number in fed[home]}) > 1:
            yield from (Member(home, number) for home in group)
