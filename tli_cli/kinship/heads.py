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
    """Return, as a configuration would, the numbers of heads of queries and keys in `known`, if it is as large as
    `bare`, else how many as wide `bare` has. Nothing if layers of `known` differ in them or it has none. A network
    without a graph has those that are `told`."""
    found = _heads(known) if known.graph else {told} if all(told) else set()
    if len(found) != 1:
        return {}
    counts, sizes = found.pop(), sorted((bare.parameters, known.parameters))
    if sizes[0] >= ALIKE * sizes[1]:
        return {"num_heads": counts[0], "num_kv_heads": counts[1]}
    mine, theirs = _rows(bare, {}), _rows(known, _roles(known))
    if len(mine) != 2 or len(theirs) != 2 or any(m * n % t for m, n, t in zip(mine, counts, theirs, strict=True)):
        return {}
    queries, keys = (m * n // t for m, n, t in zip(mine, counts, theirs, strict=True))
    return {"num_heads": queries, "num_kv_heads": keys}


def _roles(known: Architecture) -> Mapping[Key, str]:
    return graph_roles(known, {unit.key: unit for unit in units_of(known)}) if known.graph else {}


def _rows(architecture: Architecture, roles: Mapping[Key, str]) -> tuple[int, ...]:
    """Return how many rows queries and keys have, as the graph tells or names do."""
    named = {(roles.get(unit.key) or unit.role, unit.shape[0]) for unit in units_of(architecture) if unit.shape}
    return tuple(rows for wanted in ("q", "k") for role, rows in named if role == wanted)


def _heads(known: Architecture) -> set[tuple[int, int]]:
    units = {unit.key: unit for unit in units_of(known)}
    roles = _roles(known)
    counts: dict[str, list[int]] = {"q": [], "k": []}
    for key, role in roles.items():
        width = innermost(known, units[key]) if role in counts else None
        if width is not None:
            counts[role].append(units[key].shape[0] // known.size_of(width))
    return set(zip(counts["q"], counts["k"], strict=False))
