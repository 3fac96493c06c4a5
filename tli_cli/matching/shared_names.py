"""What names of layers tell: which two networks have in common, perhaps cut short in one of the two (`time_mix_k` and
`time_mix_key`), and which module a norm is for (`norm_conv` beside `conv`, `conv.layer_norm`)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence

from tli_cli.describe.spelling import enclosing
from tli_cli.describe.vocabulary import WRAPPERS, surroundings
from tli_cli.grouping import gathered
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit

NUMBERED = re.compile(r"[a-z]+\d+")
"""Names that say which of several a layer is, and not what it is for: `branch1`."""

Words = tuple[str, ...]
Keys = Mapping[Key, Hashable]


def names_in_common(first: Sequence[Unit], second: Sequence[Unit]) -> tuple[Keys, Keys]:
    """Return for the units of both sides the name that they have in common with a unit of the other side, by key.

    A name is what a unit is called in its surroundings (an attention, an MLP), without numbers and wrappers. Names are
    one that are equal, or of which each word begins another's in order, if that is so of these two alone.
    """
    mine, theirs = ({unit.key: _name(unit) for unit in units} for units in (first, second))
    here, there = set(mine.values()) - {()}, set(theirs.values()) - {()}
    same = {name: name for name in here & there}
    alike = [(name, other) for name in here - there for other in there - here if _is_short_for(name, other)]
    short = gathered([*alike, *((other, name) for name, other in alike)])
    for name, others in short.items():
        if name in here and len(others) == 1 and len(short[others[0]]) == 1:
            same |= {name: name, others[0]: name}
    return {k: same.get(n, ()) for k, n in mine.items()}, {k: same.get(n, ()) for k, n in theirs.items()}


def _is_short_for(first: Words, second: Words) -> bool:
    """Tell whether two names are one, words of the one cut short in the other."""
    return len(first) == len(second) and all(
        a.startswith(b) or b.startswith(a) for a, b in zip(first, second, strict=True)
    )


def _name(unit: Unit) -> Words:
    parts = [part for part in unit.path.lower().split(".") if part not in WRAPPERS and not part.isdecimal()]
    if not parts or NUMBERED.fullmatch(parts[-1]):
        return ()
    around = next((context for part in reversed(parts[:-1]) if (context := surroundings(part))), "")
    return around, *(word for word in re.split(r"[_\d]+", parts[-1]) if word)


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
