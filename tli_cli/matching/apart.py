"""What tells units apart that have the same surroundings, as the two factors of a gate have: what is done to what they
make, and what they are called. The order in which code runs them means nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from tli_cli.matching.sides import Side
from tli_cli.matching.telling import Teller, paired
from tli_cli.matching.units import Key, Unit

ACTS = ("acts before", "acts behind"), ("acts nearby",), ("acts at all",)
"""The fingerprints that tell, from what is certain to what is likely."""


def told_apart(
    wanted: Sequence[Unit], offered: Sequence[Unit], target: Side, source: Side
) -> Iterator[tuple[Unit, Unit, bool]]:
    """Yield (target unit, source unit) for as many units of either side that stand alike, and whether more than their
    order tells them from each other."""
    if len(wanted) < 2:
        yield from ((t, s, True) for t, s in zip(wanted, offered, strict=True))
        return
    acts: list[Teller] = [(target.acting(names, wanted), source.acting(names, offered)) for names in ACTS]
    names: list[Teller] = [
        ({unit.key: name(unit) for unit in wanted}, {unit.key: name(unit) for unit in offered}) for name in NAMES
    ]
    yield from paired(wanted, offered, acts + names)


def fed_alike(
    source: Side,
    target: Side,
    tables: Iterable[tuple[str, ...]],
    counts: Callable[[tuple[str, ...], Unit], bool] = lambda names, unit: True,
) -> Iterator[tuple[tuple[str, ...], Unit, Unit, bool]]:
    """Yield (names, target unit, source unit) for units that have one fingerprint over the first of `tables` that as
    many of either side have, of those that `counts` tells to, and whether more than their order tells them apart."""
    taken, given = set[Key](), set[Key]()
    for names in tables:
        theirs = target.groups(names)
        for fingerprint, units in source.groups(names).items():
            offered = [unit for unit in units if unit.key not in given]
            wanted = [u for u in theirs.get(fingerprint, ()) if u.key not in taken and counts(names, u)]
            for t, s, told in told_apart(wanted, offered, target, source) if len(offered) == len(wanted) else ():
                taken.add(t.key)
                given.add(s.key)
                yield names, t, s, told


NAMES: tuple[Callable[[Unit], Hashable], ...] = (
    lambda unit: unit.path,
    lambda unit: unit.path.rpartition(".")[2],
    lambda unit: unit.role,
    lambda unit: tuple(re.findall(r"\d+", unit.path)),
)
"""What of a name tells, from what is certain to what is likely."""
