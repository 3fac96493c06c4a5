"""Layers of two networks of which the modules tell which is which, whatever these are called and however deep they are
nested: a module stands for the one that holds layers of the same shapes, and a layer for the only one of its shape
there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from tli_cli.describe.spelling import enclosing, natural
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.describe.vocabulary_places import module_place
from tli_cli.grouping import gathered, grouped
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit

Units = tuple[Unit, Unit]
"""A target unit and a source unit."""


@dataclass(frozen=True)
class _Module:
    path: str
    units: Sequence[Unit]

    @cached_property
    def shapes(self) -> frozenset[tuple[Hashable, int]]:
        """How often each kind and shape of layer with weights is in it."""
        return frozenset(Counter(unit.exact_label for unit in self.units if unit.kind in WEIGHTED).items())

    @property
    def weighted(self) -> int:
        """The number of its layers with weights."""
        return sum(count for _, count in self.shapes)

    @cached_property
    def within(self) -> dict[Hashable, list[_Module]]:
        """The modules within it, at any depth, by what they hold; of one that holds nothing but another the outer."""
        start = self.path.count(".") + 1 if self.path else 0
        held = gathered((around, unit) for unit in self.units for around in enclosing(unit.path)[start:-1])
        found: dict[str, _Module] = {}
        for path, units in held.items():
            module, outer = _Module(path, units), found.get(path.rpartition(".")[0], self)
            if module.shapes and module.shapes != outer.shapes:
                found[path] = module
            elif module.shapes:
                found[path] = outer
        distinct = {id(module): module for module in found.values() if module is not self}
        return grouped(distinct.values(), lambda module: module.shapes)


Held = TypeVar("Held", _Module, Unit)


def by_holders(target: Side, source: Side) -> tuple[dict[Key, Hashable], dict[Key, Hashable]]:
    """Return for the units of both sides the target's unit that each is, or stands for by what modules hold; nothing
    for those that modules do not tell of."""
    pairs = list(_pairs(_Module("", target.units), _Module("", source.units)))
    return {t.key: t.key for t, _ in pairs}, {s.key: t.key for t, s in pairs}


def _pairs(mine: _Module, theirs: _Module) -> Iterator[Units]:
    taken, given = set[str](), set[str]()
    for shapes in sorted(mine.within, key=lambda shapes: -mine.within[shapes][0].weighted):
        own = [module for module in mine.within[shapes] if taken.isdisjoint(enclosing(module.path))]
        other = [module for module in theirs.within.get(shapes, ()) if given.isdisjoint(enclosing(module.path))]
        for t, s in _told(own, other, MODULES) if len(own) == len(other) else ():
            taken.add(t.path)
            given.add(s.path)
            yield from _pairs(t, s)
    wanted = _left(mine.units, taken)
    for label, offered in _left(theirs.units, given).items():
        if len(offered) == len(wanted.get(label, ())):
            yield from _told(wanted[label], offered, ())


def _left(units: Sequence[Unit], taken: AbstractSet[str]) -> dict[Hashable, list[Unit]]:
    """Return the units that stand in no module that is `taken`, by their shapes, in the order of their numbers."""
    left = (unit for unit in units if taken.isdisjoint(enclosing(unit.path)))
    return grouped(sorted(left, key=lambda unit: natural(unit.path)), lambda unit: unit.exact_label)


def _told(
    mine: Sequence[Held], theirs: Sequence[Held], tellers: Sequence[Callable[[Held], Hashable]]
) -> Iterator[tuple[Held, Held]]:
    """Yield as many of either side in pairs: the only ones, or those of which the first of `tellers` says of one on
    either side what it says of no other; of what is left, rows whose names differ in numbers alone, in their order."""
    for teller in tellers:
        own, others = grouped(mine, teller), grouped(theirs, teller)
        same = [value for value in own if value and len(own[value]) == len(others.get(value, ())) < len(mine)]
        for value in same:
            yield from _told(own[value], others[value], tellers)
        mine, theirs = ([one for one in side if teller(one) not in same] for side in (mine, theirs))
    if len(mine) == 1 or all(len({_unnumbered(one.path) for one in side}) == 1 for side in (mine, theirs)):
        yield from zip(mine, theirs, strict=True)


def _unnumbered(path: str) -> str:
    return re.sub(r"[0-9]+", "#", path)


MODULES: tuple[Callable[[_Module], Hashable], ...] = (
    lambda module: module.path.rpartition(".")[2] if not module.path[-1].isdecimal() else "",
    lambda module: module_place(module.path)[0],
    lambda module: canonical_role(f"{module.path}.0") or canonical_role(module.path),
)
"""What tells modules that hold the same, from what is certain to what is likely."""
