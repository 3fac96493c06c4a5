"""Names that layers of two networks have in common, though they are cut short in one: `time_mix_k`, `time_mix_key`."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence

from tli_cli.describe.vocabulary import WRAPPERS, surroundings
from tli_cli.grouping import gathered
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
