"""Layers of a checkpoint that was described as the other side is because it holds the same in the same order: of those
that stand side by side that order says only which was defined first."""

from __future__ import annotations

from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching
from tli_cli.planning.claims.rivals import side_by_side

BY_ORDER = ("file", "inferred")
"""Where the order of a network with a graph comes from, if that is taken to be the other side's because of it."""


def told_by_order(matching: Matching, target: Architecture, source: Architecture) -> dict[int, str]:
    """Return for each of the target's layers, by place, from which other one only the order of definition tells it."""
    if not any(side.graph and side.order_from in BY_ORDER for side in (target, source)):
        return {}
    mine = [_as_named(unit, target) for unit in matching.targets]
    theirs = {unit.key: _as_named(unit, source) for unit in matching.sources}
    known = frozenset((unit.shape, unit.role) for unit in theirs.values() if unit.role)
    rivals = side_by_side(target, mine, graph_roles(target, mine), known)
    own = {unit.key: _last(unit) for unit in mine}
    told = {p.target.place for p in matching.pairs if own[p.target.key] == _last(theirs[p.source.key])}
    found = ((unit.place, rivals.get(unit.key)) for unit in mine if unit.place not in told)
    return {place: f"only the order of definition tells it from {rival}" for place, rival in found if rival}


def _as_named(unit: Unit, architecture: Architecture) -> Unit:
    """Return `unit` with the path and the role that the name of its first tensor gives it."""
    path = architecture.layers[unit.place].tensors[0][1].rpartition(".")[0]
    return replace(unit, path=path, role=canonical_role(path))


def _last(unit: Unit) -> str:
    return unit.path.rpartition(".")[2]
