"""Which module a norm is named for: `norm_conv` beside `conv`, `conv.layer_norm`."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence

from tli_cli.describe.spelling import enclosing
from tli_cli.grouping import gathered
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit

ONE_WORD = (
    (r"layer ?norm|batch ?norm|norm|ln|layer|module|block|pre", ""),
    (r"feed ?forward|ffn?|mlp", "mlp"),
    (r"self att(entio)?n?|att(entio)?n?|mhs?a|sa", "attn"),
)
"""Words that say nothing here, and those that are one."""
LATE = re.compile(r"post|after|final|output")
"""A norm called so may stand before what comes next."""


def shared_homes(
    target: Side, source: Side, pairs: Sequence[tuple[Unit, Unit]]
) -> tuple[dict[Key, Hashable], dict[Key, Hashable]]:
    """Return for the norms of both sides the source's layers in the module that they are named for, which the target's
    has by `pairs`; nothing for those that no name tells."""
    partner = {t.key: s.key for t, s in pairs}
    mine, theirs = _homes(target.units), _homes(source.units)
    wanted: dict[Key, Hashable] = {
        u.key: frozenset(partner.get(k, ()) for k in mine.get(u.key, ())) for u in target.units
    }
    return wanted, {u.key: frozenset(theirs.get(u.key, ())) for u in source.units}


def _homes(units: Sequence[Unit]) -> dict[Key, list[Key]]:
    """Return for each norm that names tell of the weighted units in the module that it is named for."""
    inside = gathered((home, unit.key) for unit in units if unit.kind in WEIGHTED for home in enclosing(unit.path))
    children = gathered((parent, name) for parent, _, name in (home.rpartition(".") for home in inside))
    found: dict[Key, list[Key]] = {}
    for unit in units:
        if unit.kind == "norm" and (home := _home(unit, children)):
            found[unit.key] = inside[home]
    return found


def _home(unit: Unit, children: Mapping[str, Sequence[str]]) -> str:
    """Return the module that a norm is named for; empty if names tell of none, or of several."""
    parent, _, last = unit.path.rpartition(".")
    if LATE.search(last.lower()):
        return ""
    words = _words(last)
    if not words:
        return parent if parent in children and parent != unit.block else ""
    known = {name: _words(name) for name in children.get(parent, ())}
    same = [name for name, own in known.items() if own == words]
    near = same or [name for name, own in known.items() if own and (own < words or words < own)]
    return f"{parent}.{near[0]}".lstrip(".") if len(near) == 1 else ""


def _words(name: str) -> frozenset[str]:
    said = " ".join(re.findall(r"[a-z]+|[0-9]+", name.lower()))
    for pattern, word in ONE_WORD:
        said = re.sub(rf"(?<![a-z])({pattern})(?![a-z])", word, said)
    return frozenset(said.split())
