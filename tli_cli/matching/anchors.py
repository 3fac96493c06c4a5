"""Pairs that the two execution graphs prove: units with the same surroundings."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from tli_cli.describe.walks import walked
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.told_apart import fed_alike
from tli_cli.matching.units import Key, Unit

A_HEAD = 2
"""The number of weighted layers by which two networks may differ that have as many blocks, however these are named."""

EVIDENCE = (
    ("before", "behind"),
    ("before", "form behind"),
    ("form before", "behind"),
    ("form before", "form behind", "own"),
    ("form before", "form behind"),
    ("before", "near behind"),
    ("near before", "behind"),
)
"""From the strongest to the weakest; a changed head breaks `behind`, a changed input `before`, a changed width both."""

JOINT = ("joined before", "joined behind", "company")
"""What tells most where attention goes over tokens side by side, in whichever order: what is before and behind two
streams alike may be the same, but not what each is joined to."""

CERTAIN = EVIDENCE[:5]
"""What counts where more than one block was added or removed: blocks are then spread evenly, not kept at both ends."""


BESIDE = (("before", "near behind"), ("before",))
"""What counts besides where the whole source stands in the target beside what takes an input of its own, as an encoder
does beside a decoder: what is behind it there tells nothing."""


FED_ALIKE = (("before",), ("form before",))
"""What is the same of blocks side by side, such as experts, of which one side has more: names tell which is which."""


class Strength(Enum):
    """How much speaks for a pair: all that is before and behind, most of it, or what is near."""

    PROVEN = 3
    CERTAIN = 2
    LIKELY = 1


class Anchor(NamedTuple):
    """A target unit and a source unit, how much speaks for the pair, and whether no more than their order tells them
    from others that stand alike."""

    target: Unit
    source: Unit
    strength: Strength
    by_order: bool = False


def anchors(source: Side, target: Side) -> Iterator[Anchor]:
    """Yield all pairs that two graphs decide; nothing without them."""
    if not both_known(source, target):
        return
    taken: set[Key] = set()
    given: set[Key] = set()
    even = source.weighted == target.weighted
    beside_others = () if even else [row for row in target.groups(("before",)).values() if len(row) > 1]
    crowded = {unit.key for row in beside_others for unit in row}  # where blocks are added, what is behind tells none
    near = abs(len(source.ends[1]) - len(target.ends[1])) <= 1 or abs(source.weighted - target.weighted) <= A_HEAD
    inside = _beside_another(source, target)
    beside = BESIDE if inside else ()
    joint = (JOINT,) if source.attends_jointly and target.attends_jointly else ()
    tables = (*joint, *(EVIDENCE if near else CERTAIN), *beside)
    alike = fed_alike(source, target, tables, lambda names, unit: names not in beside or unit.place in inside)
    for names, t, s, told in alike:
        taken.add(t.key)
        given.add(s.key)
        certain = (even or names in (*joint, *CERTAIN)) and t.key not in crowded
        strength = Strength.PROVEN if certain and names == tables[0] else Strength(1 + certain)
        yield Anchor(t, s, strength, not told)
    for names in () if even else FED_ALIKE:
        offered, asking = _abreast(source, names), _abreast(target, names)
        for t, s in [(asking[name], offered[name]) for name in asking if name in offered]:
            if t.key not in taken and s.key not in given:
                taken.add(t.key)
                given.add(s.key)
                yield Anchor(t, s, Strength.LIKELY)
    if taken:
        yield from _stem(source, target, given, taken)


def _stem(source: Side, target: Side, given: set[Key], taken: set[Key]) -> Iterator[Anchor]:
    """Yield what is left of either stem with its like on the other side, where the graphs prove more than that."""
    stems = [{unit.key for block in side.ends[0] for unit in block.units} for side in (source, target)]
    theirs = target.groups(("before",))
    for fingerprint, units in source.groups(("before",)).items():
        wanted = theirs.get(fingerprint, ())
        if len(units) != 1 or len(wanted) != 1 or units[0].key in given or wanted[0].key in taken:
            continue
        if units[0].key in stems[0] or wanted[0].key in stems[1]:
            yield Anchor(wanted[0], units[0], Strength.CERTAIN)


def _beside_another(source: Side, target: Side) -> set[int]:
    """Return the target's layers, by place, of which the whole source is made, where it stands there beside what takes
    an input of its own; none elsewhere."""
    mine, theirs = (sum(node.op == "input" for node in side.architecture.graph) for side in (target, source))
    there = target.groups(("before",))
    if mine <= theirs or not source.groups(("before",)).keys() <= there.keys():
        return set()
    run = {node.layer: i for i, node in enumerate(source.architecture.graph)}
    last = max(source.units, key=lambda unit: run.get(unit.place, -1))
    ends: Sequence[Unit] = next((there[key] for key, units in source.groups(("before",)).items() if last in units), [])
    graph = target.architecture.graph
    starts = [i for i, node in enumerate(graph) if len(ends) == 1 and node.layer == ends[0].place]
    return {graph[i].layer for i in walked(starts, lambda i: graph[i].inputs)}


def _abreast(side: Side, names: tuple[str, ...]) -> dict[Hashable, Unit]:
    """Return what takes what others take too, of blocks of which that is so of all, by that and by its name."""
    groups = side.groups(names).items()
    crowd: dict[Key, Hashable] = {u.key: (k, u.path, u.part) for k, units in groups if len(units) > 1 for u in units}
    whole = (block for block in side.blocks if crowd.keys() >= {unit.key for unit in block.units})
    return {crowd[unit.key]: unit for block in whole for unit in block.units}
