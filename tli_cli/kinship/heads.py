"""How the heads of a bare checkpoint are cut, where a known network of its size, or with heads as wide, tells."""

from __future__ import annotations

from collections.abc import Mapping

from tli_cli.architecture import Architecture
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.units import Key, units_of
from tli_cli.planning.spaces.queries import innermost

ALIKE = 0.9
"""The share of parameters that the smaller of two networks of one size must have of the larger."""


def heads_like(bare: Architecture, known: Architecture, told: tuple[int, int] = (0, 0)) -> dict[str, int]:
    """Return, as a configuration would, how many heads of queries and keys `bare` has that are as wide as in `known`,
    or as many as there where rows do not tell and it is as large. Nothing if layers of `known` differ in them or it has
    none. A network without a graph has those that are `told`."""
    found = _heads(known) if known.graph else {told} if all(told) else set()
    if len(found) != 1:
        return {}
    queries, keys = found.pop()
    mine, theirs = _rows(bare, {}), _rows(known, graph_roles(known, units_of(known)))
    rows, sizes = list(zip(mine, theirs, (queries, keys), strict=False)), sorted((bare.parameters, known.parameters))
    if len(mine) == len(theirs) == 2 and not any(m * n % t for m, t, n in rows):
        queries, keys = (m * n // t for m, t, n in rows)
    elif sizes[0] < ALIKE * sizes[1]:
        return {}
    return {"num_heads": queries, "num_kv_heads": keys}


def _rows(architecture: Architecture, roles: Mapping[Key, str]) -> tuple[int, ...]:
    """Return how many rows queries and keys have, as the graph tells or names do."""
    named = {(roles.get(unit.key) or unit.role, unit.shape[0]) for unit in units_of(architecture) if unit.shape}
    return tuple(rows for wanted in ("q", "k") for role, rows in named if role == wanted)


def _heads(known: Architecture) -> set[tuple[int, int]]:
    units = {unit.key: unit for unit in units_of(known)}
    roles = graph_roles(known, units.values())
    counts: dict[str, list[int]] = {"q": [], "k": []}
    for key, role in roles.items():
        width = innermost(known, units[key]) if role in counts else None
        if width is not None:
            counts[role].append(units[key].shape[0] // known.size_of(width))
    return set(zip(counts["q"], counts["k"], strict=False))
