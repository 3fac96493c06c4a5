"""How the heads of a bare checkpoint are cut, where a known network of the same size tells."""

from __future__ import annotations

from tli_cli.architecture import Architecture
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.units import units_of
from tli_cli.planning.spaces.queries import innermost

ALIKE = 0.9
"""The share of parameters that the smaller of two networks of one size must have of the larger."""


def heads_like(bare: Architecture, known: Architecture, told: tuple[int, int] = (0, 0)) -> dict[str, int]:
    """Return, as a configuration would, the numbers of heads of queries and keys in `known`, if it is as large as
    `bare`; nothing if its layers differ in them or it has none. A network without a graph has those that are `told`."""
    sizes = sorted((bare.parameters, known.parameters))
    if sizes[0] < ALIKE * sizes[1]:
        return {}
    found = _heads(known) if known.graph else {told} if all(told) else set()
    if len(found) != 1:
        return {}
    queries, keys = found.pop()
    return {"num_heads": queries, "num_kv_heads": keys}


def _heads(known: Architecture) -> set[tuple[int, int]]:
    units = {unit.key: unit for unit in units_of(known)}
    roles = graph_roles(known, units)
    counts: dict[str, list[int]] = {"q": [], "k": []}
    for key, role in roles.items():
        width = innermost(known, units[key]) if role in counts else None
        if width is not None:
            counts[role].append(units[key].shape[0] // known.size_of(width))
    return set(zip(counts["q"], counts["k"], strict=False))
