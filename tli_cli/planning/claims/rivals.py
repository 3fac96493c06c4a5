"""Layers of bare checkpoints that names do not tell apart, or tell otherwise than they were paired, and layers side by
side in one that is described as the other side is because it holds the same in the same order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.from_names.siblings import ACTIVATED, GATE_LAST
from tli_cli.describe.spaces import leaves
from tli_cli.describe.spelling import natural, stem_of, unnumbered
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.describe.vocabulary_places import modulates
from tli_cli.grouping import grouped
from tli_cli.matching.followers import normalised_layers, told_by_makers
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.parts import PART_ROLES
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.claims.abreast import untold_streams
from tli_cli.planning.claims.counted import counted_alike, differ_by_number, home_of, readers_of
from tli_cli.planning.claims.rows import untold_rows
from tli_cli.planning.claims.strangers import misnamed, strangers, torn_lists

Roles = frozenset[tuple[tuple[int, ...], str]]
"""The roles of a side's layers, each with the shape of one that has it."""
SHORTCUTS = ("shortcut", "downsample")
"""Roles that are one in a block: what brings its input to the size of its output."""
BY_ORDER = ("file", "inferred")
"""Where the order of a network with a graph comes from, if that is taken to be the other side's because of it."""


def untold(matching: Matching, target: Architecture, source: Architecture, loose: Collection[int]) -> dict[int, str]:
    """Return for each of the target's layers, by place, why nothing shows that its partner is the one that belongs
    there, where nothing does.

    The order of a checkpoint's layers may be lost, and then layers of one shape in one block have nothing but their
    names to be told by. Nor does the order in which a checkpoint defines layers tell which is which of those that the
    other side's graph shows to stand side by side. Of no others than those at `loose` places is anything said. What is
    said of a network holds for it wherever it is held again.
    """
    found = _untold(matching.once, target, source) if loose else {}
    found |= {unit.place: found[first.place] for unit, first in matching.copies if first.place in found}
    return {place: said for place, said in found.items() if place in loose}


def _untold(matching: Matching, target: Architecture, source: Architecture) -> dict[int, str]:
    guessed = _guessed(matching.targets), _guessed(matching.sources)
    matching = _as_named(matching, *guessed)
    roles = tuple(graph_roles(side, units) for side, units in ((target, matching.targets), (source, matching.sources)))
    here, there = _roles(matching.targets, roles[0]), _roles(matching.sources, roles[1])
    mine, theirs = (
        side_by_side(side, units, told, known) if side.graph else guesses | _rivals(side, units, known)
        for side, units, told, known, guesses in (
            (target, matching.targets, roles[0], there, guessed[0]),
            (source, matching.sources, roles[1], here, guessed[1]),
        )
    )
    other, told = (_named(matching.targets), _named(matching.sources)), told_by_makers(matching, target, source)
    found = misnamed(matching, target, source) | strangers(matching) | torn_lists(matching)
    found |= untold_rows(matching, target, source, lambda unit: _shared(unit, there), lambda unit: _shared(unit, here))
    streams = untold_streams(matching)
    counted = counted_alike(matching.targets, matching.sources, [(p.target, p.source) for p in matching.pairs])
    for pair in matching.pairs:
        rival, named = theirs.get(pair.source.key) or mine.get(pair.target.key), (pair.target.role, pair.source.role)
        if pair.anchored or _named_alike(pair):
            continue
        if rival and pair.target.place in counted and differ_by_number(rival, pair.target.path, pair.source.path):
            rival = ""
        if pair.is_table_head:
            found[pair.target.place] = "the source has no weight of a head, and its table of tokens may not be one"
        elif not _are_told_parts(pair, roles):
            found[pair.target.place] = "nothing tells which part of a layer that makes several it is"
        elif rival and pair.target.place not in told:
            found[pair.target.place] = f"its names do not tell it from {rival}"
        elif better := _named_otherwise(pair, *other):
            found[pair.target.place] = f"{better} is named for it"
        elif pair.target.place in streams:
            found[pair.target.place] = streams[pair.target.place]
        elif pair.target.kind in WEIGHTED and any(modulates(unit.path) for unit in (pair.target, pair.source)):
            found[pair.target.place] = "nothing tells in which order it makes scales and shifts"
        elif all(named) and len({"cross_" in role for role in named}) > 1:
            found[pair.target.place] = "one of the two is named as attending to another sequence"
        elif pair.target.shape != pair.source.shape and not (named[0] and named[0] == named[1]):
            found[pair.target.place] = "neither shapes nor names show that the two belong together"
    norms = {pair.target.place for pair in matching.pairs if pair.target.kind == "norm" and not _named_alike(pair)}
    behind = ((norm, before) for norm, before in normalised_layers(target).items() if norm in norms)
    return {**{norm: found[before] for norm, before in behind if before in found}, **found}


def _roles(units: Sequence[Unit], told: Mapping[Key, str]) -> Roles:
    """Return the roles of all units with their shapes, as far as names or the graph tell them."""
    return frozenset((unit.shape, role) for unit in units for role in (unit.role, told.get(unit.key, "")) if role)


def _guessed(units: Sequence[Unit]) -> dict[Key, str]:
    """Return for gates, and for what they multiply, of which shapes alone tell which is which, the path of the other:
    names tell both where they tell one of the two."""
    found: dict[Key, str] = {}
    for beside in grouped(units, lambda unit: unit.path.rpartition(".")[0]).values():
        factors = [unit for unit in beside if unit.role in PART_ROLES["gate_up"]]
        told = any(
            canonical_role(unit.path) in (unit.role, "gate_up") or unit.path.endswith(GATE_LAST) for unit in factors
        )
        if not told and frozenset(map(_last, beside)) not in ACTIVATED:
            found |= {u.key: next((o.path for o in factors if o is not u), u.path) for u in factors}
    return found


def _as_named(matching: Matching, mine: Collection[Key], theirs: Collection[Key]) -> Matching:
    """Return `matching` with no role for the target's units `mine` and the source's units `theirs`, and with one role
    for shortcuts where these feed each other alone."""
    same = all((pair.target.role in SHORTCUTS) == (pair.source.role in SHORTCUTS) for pair in matching.pairs)

    def named(units: Iterable[Unit], guessed: Collection[Key]) -> dict[Key, Unit]:
        roles = ((u, SHORTCUTS[0] if same and u.role in SHORTCUTS else u.role) for u in units)
        return {unit.key: replace(unit, role="" if unit.key in guessed else role) for unit, role in roles}

    targets, sources = named(matching.targets, mine), named(matching.sources, theirs)
    pairs = tuple(replace(p, target=targets[p.target.key], source=sources[p.source.key]) for p in matching.pairs)
    return replace(matching, pairs=pairs, targets=tuple(targets.values()), sources=tuple(sources.values()))


def _are_told_parts(pair: Pair, told: Sequence[Mapping[Key, str]]) -> bool:
    """Tell whether the graph or names say of both, of which one is a part of a layer, that they are for the same."""
    t, s = pair.target, pair.source
    here, there = ({unit.role, own.get(unit.key, "")} for unit, own in zip((t, s), told, strict=True))
    return t.part == s.part == -1 or bool(here & there - {""})


def _rivals(architecture: Architecture, units: Sequence[Unit], known: Roles) -> dict[Key, str]:
    """Return the path of one rival for each unit that has some: units whose names differ in numbers alone are in the
    order of these, and roles that the other side knows too tell all but one apart."""
    if architecture.order_from != "inferred":
        return {}
    normed = Counter((unit.block, stem_of(_last(unit))) for unit in units if unit.kind in WEIGHTED)
    groups: dict[Hashable, dict[str, list[Unit]]] = defaultdict(dict)
    for unit in units:
        groups[home_of(unit), unit.kind, unit.shape].setdefault(f"{unnumbered(unit.path)} {unit.part}", []).append(unit)
    found: dict[Key, str] = {}
    for named in groups.values():
        told = [_told(row[0], normed, known) for row in named.values()]
        rows = list(named.values())
        mixed = [row for row in rows if row != sorted(row, key=lambda unit: natural(unit.path))]
        confused = mixed if len(set(told)) == len(told) else rows
        members = [unit for row in confused for unit in row]
        found |= {u.key: next(other.path for other in members if other is not u) for u in members}
    return found


def side_by_side(
    architecture: Architecture, units: Sequence[Unit], told: Mapping[Key, str], known: Roles
) -> dict[Key, str]:
    """Return the path of one rival for each unit that has some: units of one shape in one block, of which none stands
    behind the other, and of which neither names nor the graph tell what the other side's names tell too."""
    run = [u for u in units if u.part < 0 and u.kind in WEIGHTED and u.place in architecture.run]
    roles = {u.key: _shared(u, known) or _shared(replace(u, role=told.get(u.key, "")), known) for u in run}
    groups = grouped(run, lambda unit: (unit.block, unit.kind, unit.shape, roles[unit.key]))
    confused = [row for row in groups.values() if len(row) > 1]
    before = _layers_before(architecture) if confused else []
    pairs = ((unit, other) for row in confused for unit in row for other in _others(unit, row))
    return {u.key: o.path for u, o in pairs if not (before[u.place] >> o.place | before[o.place] >> u.place) & 1}


def _others(unit: Unit, row: Sequence[Unit]) -> list[Unit]:
    """Return what stands in a row beside a unit, first what its names tell from that by their numbers alone."""
    others = [other for other in reversed(row) if other is not unit]
    return sorted(others, key=lambda other: unnumbered(other.path) != unnumbered(unit.path))


def _layers_before(architecture: Architecture) -> list[int]:
    """Return for each layer those that it depends on, as the bits of a number."""
    found = [0] * len(architecture.layers)
    behind: list[int] = []
    for node in architecture.graph:
        before = 0
        for index in node.inputs:
            before |= behind[index]
        if node.layer >= 0:
            found[node.layer] |= before
            before |= 1 << node.layer
        behind.append(before)
    return found


def _shared(unit: Unit, known: Roles) -> str:
    """Return the role of a unit if units of its shape have it on the other side too: no other one tells anything."""
    return unit.role if (unit.shape, unit.role) in known else ""


def _told(unit: Unit, weighted: Mapping[tuple[str, str], int], known: Roles) -> Hashable:
    """Return what the name of a unit says that it is: for a norm also of which layer, if it is named like one."""
    own = stem_of(_last(unit)) if unit.kind == "norm" else ""
    return _shared(unit, known), own if weighted.get((unit.block, own)) == 1 else ""


def _last(unit: Unit) -> str:
    return unit.path.rpartition(".")[2]


def _named_alike(pair: Pair) -> bool:
    """Tell whether both have one name below their blocks; of a layer that is one, its last."""
    names = {unit.path.removeprefix(unit.block) or _last(unit) for unit in (pair.target, pair.source)}
    return len(names) == 1


def _named(units: Sequence[Unit]) -> dict[Hashable, str]:
    """Return the path of the one unit of each shape and role in a block."""
    counts = Counter((unit.block, unit.shape, unit.role) for unit in units if unit.role)
    found: dict[Hashable, str] = {}
    for unit in units:
        own = unit.block, unit.shape, unit.role
        if counts[own] == 1:
            found[own] = unit.path
    return found


def _named_otherwise(pair: Pair, mine: Mapping[Hashable, str], theirs: Mapping[Hashable, str]) -> str:
    """Return the path of another unit beside the source's that has the role of the target's, and the other way round
    a unit beside the target's has the role of the source's; empty if there is none."""
    t, s = pair.target, pair.source
    if not t.role or not s.role or t.role == s.role or (t.block, t.shape, s.role) not in mine:
        return ""
    return theirs.get((s.block, s.shape, t.role), "")


def told_by_order(matching: Matching, target: Architecture, source: Architecture) -> dict[int, str]:
    """Return for each of the target's layers, by place, from which other one only the order of definition tells it."""
    if not any(side.graph and side.order_from in BY_ORDER for side in (target, source)):
        return {}
    mine = [_by_its_tensor(unit, target) for unit in matching.targets]
    theirs = {unit.key: _by_its_tensor(unit, source) for unit in matching.sources}
    known = _roles(list(theirs.values()), {})
    rivals = side_by_side(target, mine, graph_roles(target, mine), known)
    own = {unit.key: unit for unit in mine}
    pairs = [(own[p.target.key], theirs[p.source.key]) for p in matching.pairs]
    told = {target.place for target, source in pairs if _last(target) == _last(source)}
    counted = counted_alike(mine, list(theirs.values()), pairs)
    found = ((unit, rivals.get(unit.key)) for unit in mine if unit.place not in told)
    nodes = {node.layer: i for i, node in enumerate(target.graph)}
    read = {unit.path: readers_of(target, nodes[unit.place]) for unit in mine if unit.place in nodes}
    rest = (
        (u, r)
        for u, r in found
        if r and not (u.place in counted and differ_by_number(r, u.path) and read.get(r) == read.get(u.path))
    )
    return {unit.place: f"only the order of definition tells it from {rival}" for unit, rival in rest}


def _by_its_tensor(unit: Unit, architecture: Architecture) -> Unit:
    """Return `unit` with the path and the role that the name of its first tensor gives it."""
    path = architecture.layers[unit.place].tensors[0][1].rpartition(".")[0]
    return replace(unit, path=path, role=canonical_role(path))


def loose_places(matching: Matching, target: Architecture, source: Architecture) -> frozenset[int]:
    """Return the target's layers, by place, that are paired and of which no two graphs tell: all where one side has
    none, else those that one is only assumed to hold, such as what is around a network that was recognised, and those
    that no code has run, unless they are described as others are that it has or stand in no module, as mask tokens."""
    if not (target.graph and source.graph):
        return frozenset(pair.target.place for pair in matching.pairs)
    sides = [(p.target.place, target.layers[p.target.place], source.layers[p.source.place]) for p in matching.pairs]
    run, known = target.run, {leaf for place in target.run for leaf in _spaces(target, place)}
    return frozenset(
        place
        for place, *layers in sides
        if any(layer.attribute("assumed") for layer in layers)
        or (place not in run and layers[0].path != layers[0].tensors[0][1] and not _spaces(target, place) <= known)
    )


def _spaces(architecture: Architecture, place: int) -> set[int]:
    """Return what the tensors of a layer run over."""
    axes = (architecture.axes.get(name, ()) for _, name in architecture.layers[place].tensors)
    return {leaf for held in axes for axis in held for leaf in leaves(axis.tree)}
