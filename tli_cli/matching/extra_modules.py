"""Modules of a checkpoint that the other network has not: projectors, decoders, another tower.

Pretraining files hold more than the network that one wants of them. What is left over of their shapes tells which
modules these are; where either of two may be, their names, their company and their roles do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tli_cli.matching.units import Key, Unit

Shapes = Mapping[Key, Hashable]
"""What units are compared by."""

COVERED = 0.9
"""The share of the other network's units that must have a partner of their shape for what is left over to be extra."""


@dataclass(eq=False)
class _Module:
    """One component of the units' paths, and what stands at and below it; `in_row` if it is one of equal blocks."""

    path: str
    units: list[Unit] = field(default_factory=list)
    children: dict[str, _Module] = field(default_factory=dict)
    shapes: Counter[Hashable] = field(default_factory=Counter)
    in_row: bool = False

    @property
    def words(self) -> set[str]:
        """The words in its own name."""
        return _words(self.path.rpartition(".")[2])


def extra_units(units: Sequence[Unit], others: Sequence[Unit], mine: Shapes, theirs: Shapes) -> set[Key]:
    """Return the keys of those of `units` that stand in modules which the network of `others` has not.

    `mine` and `theirs` are the shapes of both; what is in neither does not count. No shape gets rarer than there.
    """
    units, others = [u for u in units if u.key in mine], [u for u in others if u.key in theirs]
    held, wanted = Counter(mine[u.key] for u in units), Counter(theirs[u.key] for u in others)
    if (held & wanted).total() < COVERED * wanted.total():
        return set()
    return {unit.key for module in _Search(units, others, mine, theirs).removed() for unit in module.units}


class _Search:
    """Modules that can go: the largest first, and of equal ones the one that is least like the other network."""

    def __init__(self, units: Sequence[Unit], others: Sequence[Unit], mine: Shapes, theirs: Shapes) -> None:
        self.root = _tree(units, mine)
        self.wanted = Counter(theirs[u.key] for u in others)
        self.excess = self.root.shapes - self.wanted
        self.mine, self.known = mine, {(theirs[unit.key], unit.role) for unit in others}
        self.said = {word for unit in others for word in _words(unit.path)}
        self.lacking = {u.role for u in others if self.wanted[theirs[u.key]] > self.root.shapes[theirs[u.key]]} - {""}
        self.paths = {unit.path for unit in others}
        self.number, self.other_number = (Counter(u.role for u in side) for side in (units, others))
        self.gone: list[_Module] = []
        self.longer: list[_Module] = []
        self.necessary: list[_Module] = []

    def removed(self) -> list[_Module]:
        """Return the modules that go, none of which is within another; a longer row of blocks takes what is left over
        before anything smaller does, and stays."""
        while True:
            able = sorted(self._fitting(self.root), key=lambda module: (-len(module.units), module.in_row))
            self.necessary = list(self._necessary(self.root))
            chosen = next((module for module in able if module.in_row or self._is_clear(module, able)), None)
            if chosen is None:
                return self.gone
            self.excess -= chosen.shapes
            (self.longer if chosen.in_row else self.gone).append(chosen)

    def _fitting(self, node: _Module) -> Iterator[_Module]:
        """Yield the outermost modules that hold nothing but what is left over, none within a block."""
        for child in node.children.values():
            if child in self.gone or child in self.longer:
                continue
            if child.shapes <= self.excess:
                yield child
            elif not child.path.rpartition(".")[2].isdecimal():
                yield from self._fitting(child)

    def _is_clear(self, module: _Module, able: Sequence[_Module]) -> bool:
        """Tell whether everything that could go instead is smaller, or more like the other network."""
        odd = self._oddness(module)
        if all(self._is_resized(unit) or self._is_the_one(unit) for unit in module.units):
            return False
        if any(unit.role in self.lacking for unit in module.units) and odd[0] < 1:
            return False
        rivals = (m for m in able if m is not module and not m.shapes + module.shapes <= self.excess)
        return all(self._oddness(rival) < odd for rival in rivals if len(rival.units) >= len(module.units))

    def _is_resized(self, unit: Unit) -> bool:
        """Tell whether the other network has a layer of another size in place of `unit`: of its name, or a head too."""
        return unit.path in self.paths or (unit.role == "head" and "head" in self.lacking)

    def _is_the_one(self, unit: Unit) -> bool:
        """Tell whether a token or a table of positions is the only one for what it is for, as in the other network."""
        return unit.kind in ("token", "position") and self.number[unit.role] == self.other_number[unit.role] == 1

    def _oddness(self, module: _Module) -> tuple[int, int, int]:
        """Return how little a module is like what stays: by its name and company, by the roles of its layers, and by
        words that the other network does not use."""
        kept = {word for other in self.necessary for word in other.words}
        like_gone = any(other.words & module.words - kept for other in self.gone)
        foreign = any(not self.wanted[shape] for shape in module.shapes)
        holder = module.path.rpartition(".")[0]
        at_home = bool(holder) and any(other.path == holder for other in self.necessary)
        strange = sum((self.mine[unit.key], unit.role) not in self.known for unit in module.units)
        return like_gone + foreign - at_home, strange, len(module.words - self.said)

    def _necessary(self, node: _Module) -> Iterator[_Module]:
        """Yield the modules that hold something of which nothing is left over."""
        for child in node.children.values():
            if child not in self.gone and any(not self.excess[shape] for shape in child.shapes):
                yield child
                yield from self._necessary(child)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", name.lower()))


def _tree(units: Sequence[Unit], shapes: Shapes) -> _Module:
    root = _Module("")
    for unit in units:
        node, path = root, ""
        for part in unit.path.split("."):
            node.units.append(unit)
            node.shapes[shapes[unit.key]] += 1
            path = f"{path}.{part}".strip(".")
            node = node.children.setdefault(part, _Module(path))
        node.units.append(unit)
        node.shapes[shapes[unit.key]] += 1
    _mark_rows(root)
    return root


def _mark_rows(node: _Module) -> None:
    children = list(node.children.values())
    for child in children:
        same = (o for o in children if o is not child and o.shapes == child.shapes)
        child.in_row = child.path[-1:].isdecimal() and next(same, None) is not None
        _mark_rows(child)
