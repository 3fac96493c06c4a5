"""Pairs without a graph: where both sides hold the same shapes, as one network under two sets of names does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from tli_cli.describe.vocabulary_places import tower
from tli_cli.dtypes import is_float
from tli_cli.grouping import gathered
from tli_cli.matching.extra_modules import extra_units
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.holders import by_holders
from tli_cli.matching.named_norms import shared_homes
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.shared_names import names_in_common
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.told_apart import Teller, paired
from tli_cli.matching.units import Key, Unit

Shape = tuple[tuple[int, ...], frozenset[str]]
"""The shape of a unit, and for vectors what tensors stand with it."""

BESIDE = {"weight", "bias", "running_mean"}
ALONE = {"weight"}
"""What a vector counts as that stands alone: only a graph tells whether it is added."""
SPARE = {"head", "head_dist", "pooler", "mask"}
"""Roles of layers that one network may have more of than another that is the same otherwise."""
SYNONYMS = {"downsample": "shortcut"}
"""What the same layer may be called besides."""
ALIKE = 0.9
"""The share of units whose shape must be as frequent on the other side for the two to count as one network."""


def twins(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for units of one shape, by role where both sides know it, else in order.

    Nothing if both sides have a graph, which tells more, or if they are not the same network.
    """
    if both_known(source, target):
        return
    mine, theirs = _by_shape(source), _by_shape(target)
    for shape in mine.keys() & theirs.keys():
        if len(mine[shape]) != len(theirs[shape]):
            mine[shape], theirs[shape] = ([u for u in side[shape] if u.role not in SPARE] for side in (mine, theirs))
    common = [shape for shape, units in theirs.items() if len(units) == len(mine.get(shape, ()))]
    covered = sum(len(theirs[shape]) for shape in common)
    if covered < ALIKE * max(_count(mine), _count(theirs), 1):
        return
    roles, called = (_roles(target), _roles(source)), names_in_common(target.units, source.units)
    places: list[Teller] = [_held(target, source), *((tell(target), tell(source)) for tell in (_towers, _streams))]
    names: list[Teller] = [roles, (_plain(roles[0]), _plain(roles[1])), called]
    names += [(tell(target), tell(source)) for tell in (_beside, _makers)]
    matrices, vectors = ([shape for shape in common if (len(shape[0]) > 1) is wide] for wide in (True, False))
    certain = [(t, s) for shape in matrices for t, s, _ in paired(theirs[shape], mine[shape], [*places, *names])]
    yield from certain
    told = [*places, _homes(target, source, certain), shared_homes(target, source, certain), *names]
    yield from ((t, s) for shape in vectors for t, s, _ in paired(theirs[shape], mine[shape], told))


def are_all(pairs: Sequence[tuple[Unit, Unit]], source: Side, target: Side) -> bool:
    """Tell whether `pairs` of twins are all units of both sides that count: one network under two sets of names."""
    return bool(pairs) and len(pairs) == _count(_by_shape(source)) == _count(_by_shape(target))


def in_other_words(first: Unit, second: Unit) -> Unit:
    """Return `second` with the role of `first`, if one layer may be called both."""
    one = SYNONYMS.get(first.role, first.role) == SYNONYMS.get(second.role, second.role)
    return replace(second, role=first.role) if one and first.role != second.role else second


def without_extras(source: Side, target: Side, named: Sequence[tuple[Unit, Unit]]) -> tuple[Side, Side]:
    """Return both sides without the modules that only one of them has, where names and shapes are all that is known;
    what has a namesake in `named`, target units first, is none."""
    theirs = _extra(source, target)
    mine = _extra(target, _without(source, theirs))
    return _without(source, theirs - {s.key for _, s in named}), _without(target, mine - {t.key for t, _ in named})


def _extra(side: Side, other: Side) -> set[Key]:
    mine, theirs = ({u.key: shape for shape, units in _by_shape(s).items() for u in units} for s in (side, other))
    return extra_units(side.units, other.units, mine, theirs)


def _without(side: Side, keys: set[Key]) -> Side:
    return side.of([unit for unit in side.units if unit.key not in keys]) if keys else side


def _count(units: Mapping[Shape, Sequence[Unit]]) -> int:
    return sum(map(len, units.values()))


def _by_shape(side: Side) -> dict[Shape, list[Unit]]:
    """Return the units by shape, and vectors by what tensors stand with them; what a constructor computes left out."""
    found: dict[Shape, list[Unit]] = defaultdict(list)
    for unit in side.units:
        if unit.kind == "other" and _is_worked_out(side, unit):
            continue
        layer = side.architecture.layers[unit.place]
        beside = {role.partition(".")[0] for role, _ in layer.tensors} & BESIDE if len(unit.shape) < 2 else set()
        found[unit.shape, frozenset(ALONE if beside == {"bias"} else beside)].append(unit)
    return found


def _is_worked_out(side: Side, unit: Unit) -> bool:
    """Tell whether a tensor is no matrix of numbers that training changes, as far as name and type say."""
    specs = [side.architecture.by_name[name] for _, name in side.architecture.layers[unit.place].tensors]
    return len(unit.shape) != 2 or any(spec.buffer or not is_float(spec.dtype) for spec in specs)


def _roles(side: Side) -> dict[Key, Hashable]:
    """Return what each unit is for: what the graph says, with what attention is named to attend to, else its name."""
    told = graph_roles(side.architecture, side.units)
    names = {u.key: (u.role if u.role == f"cross_{told.get(u.key)}" else told.get(u.key)) for u in side.units}
    return {unit.key: names[unit.key] or unit.role for unit in side.units}


def _held(target: Side, source: Side) -> Teller:
    """Return what modules tell of the units of both sides; for those that they tell nothing of, nothing."""
    mine, theirs = by_holders(target, source)
    return {u.key: mine.get(u.key, ()) for u in target.units}, {u.key: theirs.get(u.key, ()) for u in source.units}


def _plain(roles: Mapping[Key, Hashable]) -> dict[Key, Hashable]:
    """Return `roles` whatever an attention attends to, with the words that one layer may be called by as one."""
    plain = {key: str(role).removeprefix("cross_") for key, role in roles.items()}
    return {key: SYNONYMS.get(role, role) for key, role in plain.items()}


def _towers(side: Side) -> dict[Key, Hashable]:
    """Return in which tower each unit stands, where names tell."""
    return {unit.key: tower(f"{unit.path}.") for unit in side.units}


def _streams(side: Side) -> dict[Key, Hashable]:
    """Return in which stream of its block each unit stands, where names tell."""
    return {unit.key: unit.stream for unit in side.units}


def _homes(target: Side, source: Side, pairs: Sequence[tuple[Unit, Unit]]) -> Teller:
    """Return for each unit of both sides the blocks that hold it, those of both that `pairs` joins as one."""
    parent: dict[Hashable, Hashable] = {}

    def root(block: Hashable) -> Hashable:
        while parent.get(block, block) != block:
            block = parent[block]
        return block

    for t, s in pairs:
        mine, theirs = root((False, s.block)), root((True, t.block))
        parent.setdefault(theirs, theirs)
        parent[mine] = theirs
    homes = [{u.key: root((wanted, u.block)) for u in side.units} for wanted, side in ((True, target), (False, source))]
    return homes[0], homes[1]


def _beside(side: Side) -> dict[Key, Hashable]:
    """Return the shapes of all units in the module that holds each unit."""
    held = gathered((unit.path.rpartition(".")[0], unit.shape) for unit in side.units)
    shapes = {module: tuple(sorted(found)) for module, found in held.items() if module}
    return {unit.key: shapes.get(unit.path.rpartition(".")[0], ()) for unit in side.units}


def _makers(side: Side) -> dict[Key, Hashable]:
    """Return the shape of the weighted unit that stands before each batch norm: its convolution's."""
    before: Hashable = ()
    found: dict[Key, Hashable] = {}
    for unit in side.units:
        found[unit.key] = before if unit.flavour == "batch" else ()
        before = unit.shape if unit.kind in WEIGHTED else before
    return found
