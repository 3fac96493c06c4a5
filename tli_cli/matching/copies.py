"""Networks that one side holds several times and the other once: towers of two inputs of one kind, a student and its
teacher, an encoder and its momentum average.

One of them is matched, and the others take what it takes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import enclosing, unnumbered
from tli_cli.describe.vocabulary import is_second
from tli_cli.grouping import gathered, grouped
from tli_cli.matching.segments import A_FEW, WEIGHTED, have_own_shapes
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Pair

Fed = Mapping[Key, tuple[Hashable, frozenset[int]]]
"""For each unit that stands in a graph what everything before it is, and which layers feed it, by place."""
Copies = Sequence[tuple[Unit, Unit]]
"""Each unit of a network that is held again, with the one in its place in the first."""
FEWEST = 8
"""Modules of fewer layers with weights are parts of one network, unless a graph tells of them and they are in no row or
take nothing but what the network takes, or nothing else has their shapes."""
COLOURS = 3
"""How many channels the first layer of nothing but a network for images takes."""


@dataclass(frozen=True)
class _Module:
    """A module and its units: in the order of the layers, and by their names below it."""

    path: str
    units: Sequence[Unit]

    @cached_property
    def named(self) -> Mapping[Hashable, Unit]:
        """The units by their names below the module, and by their parts."""
        return {(unit.path.removeprefix(self.path), unit.part): unit for unit in self.units}

    @property
    def shapes(self) -> Hashable:
        """What modules have in common that hold the same layers under the same names; a convolution that begins one
        may take other channels, as of depths beside colours."""
        first = self._weighted[0]
        begins = first.key if first.kind == "conv" else None
        labels = ((name, u, u.key == begins) for name, u in self.named.items())
        return frozenset((name, (u.kind, u.shape[0], u.kernel) if at else u.exact_label) for name, u, at in labels)

    @cached_property
    def keys(self) -> set[Key]:
        return {unit.key for unit in self.units}

    @property
    def takes_input(self) -> bool:
        """Tell whether it begins a network, as far as its layers tell: it looks something up, or takes an image."""
        return any(unit.kind == "embedding" for unit in self.units) or self._weighted[0].taken == COLOURS

    @property
    def goes_on(self) -> bool:
        """Tell whether another module of its kind may stand behind it: its last layer gives as many channels as its
        first one takes or, whatever their order is, layers within take all that it makes, and nothing else."""
        made = {unit.shape[0] for unit in self._weighted}
        taken = {unit.taken for unit in self._weighted}
        closed = made <= taken <= made | {size // 2 for size in made}
        return closed or self._weighted[0].taken == self._weighted[-1].shape[0]

    @property
    def _weighted(self) -> Sequence[Unit]:
        return [unit for unit in self.units if unit.kind in WEIGHTED]

    def is_unrun(self, fed: Fed) -> bool:
        """Tell whether a graph shows that nothing of it is run."""
        return bool(fed) and self.keys.isdisjoint(fed)

    def rank(self, fed: Fed) -> tuple[bool, ...]:
        """Return what puts other modules before it: they are run, are not named as copies, begin a network."""
        return self.is_unrun(fed), any(map(is_second, self.path.split("."))), not self.takes_input

    def feeders(self, fed: Fed) -> frozenset[int]:
        """Return the layers outside that feed any within."""
        return frozenset().union(*(fed[key][1] for key in self.keys)) - {unit.place for unit in self.units}


def feeders(architecture: Architecture) -> dict[int, frozenset[int]]:
    """Return for each layer that stands in the graph those that feed it, by place."""
    made_by: list[frozenset[int]] = []
    found: dict[int, frozenset[int]] = defaultdict(frozenset)
    for node in architecture.graph:
        taken = frozenset[int]().union(*(made_by[i] for i in node.inputs))
        if node.layer >= 0:
            found[node.layer] |= taken
        made_by.append(frozenset({node.layer}) if node.layer >= 0 else taken)
    return found


def copies_of(units: Sequence[Unit], fed: Fed) -> Copies:
    """Return what is held again of the outermost modules that hold the same.

    Where a graph tells of both, what feeds them is the same; where it tells of one, the other one is not run. Where
    none does, they are no blocks of one row: they take the network's input, or their names differ in more than numbers
    and they do not give what they take.
    """
    found: list[tuple[Unit, Unit]] = []
    taken = set[Key]()
    for modules in sorted(_alike(units, fed), key=lambda modules: -len(modules[0].units)):
        first, *others = [module for module in modules if taken.isdisjoint(module.keys)] or modules[:1]
        for other in others:
            if _are_copies(first, other, fed):
                found += [(unit, first.named[name]) for name, unit in other.named.items()]
                taken |= first.keys | other.keys
    return found


def with_copies(pairs: Mapping[Key, Pair], copies: Copies, held: Copies) -> dict[Key, Pair]:
    """Return `pairs` with those of the units that are held again: each takes what the first one takes or, where the
    source holds that again as well, in `held`, the one of its name or else the one in its turn."""
    theirs = {key: [unit for unit, _ in row] for key, row in grouped(held, lambda pair: pair[1].key).items()}
    turns, again = Counter[Key](), dict[Key, Pair]()
    for unit, first in copies:
        if first.key not in pairs:
            continue
        given = pairs[first.key].source
        again_there = theirs.get(given.key, [])
        offered = again_there[turns[first.key] :]
        own = next((o for o in again_there if o.path == unit.path), offered[0] if offered else given)
        again[unit.key] = replace(pairs[first.key], target=unit, source=own)
        turns[first.key] += 1
    return {**pairs, **again}


def _alike(units: Sequence[Unit], fed: Fed) -> list[list[_Module]]:
    """Return the modules that hold the same as others, in groups."""
    held = gathered((around, unit) for unit in units for around in enclosing(unit.path)[:-1])
    large = (_Module(path, own) for path, own in held.items() if _are_a_few(own))
    groups = grouped(large, lambda module: module.shapes)
    alike = (modules for modules in groups.values() if len(modules) > 1 and _are_networks(modules, units, fed))
    return [sorted(modules, key=lambda module: module.rank(fed)) for modules in alike]


def _are_a_few(units: Sequence[Unit]) -> bool:
    """Tell whether units are enough to be held again: layers with weights, and tables beside them."""
    weighted, tables = (sum(unit.kind in kinds for unit in units) for kinds in (WEIGHTED, ("embedding",)))
    return bool(weighted) and weighted + tables >= A_FEW


def _are_networks(modules: Sequence[_Module], units: Sequence[Unit], fed: Fed) -> bool:
    """Tell whether modules that hold the same hold enough to be networks."""
    if sum(unit.kind in WEIGHTED for unit in modules[0].units) >= FEWEST or any(m.is_unrun(fed) for m in modules):
        return True
    keys = set[Key]().union(*(module.keys for module in modules))
    if any(re.search("[0-9]", module.path) for module in modules):
        return keys <= fed.keys() and not any(module.feeders(fed) for module in modules)
    return keys <= fed.keys() or have_own_shapes(units, keys)


def _are_copies(first: _Module, other: _Module, fed: Fed) -> bool:
    if first.keys | other.keys <= fed.keys():
        alike = all(fed[unit.key][0] == fed[other.named[name].key][0] for name, unit in first.named.items())
        return alike and first.feeders(fed) == other.feeders(fed)
    if other.is_unrun(fed):
        return first.keys <= fed.keys()
    numbered = unnumbered(first.path) == unnumbered(other.path)
    return first.takes_input or not (numbered or first.goes_on)
