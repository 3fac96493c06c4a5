"""What tells units apart that have the same surroundings, as the two factors of a gate have: what is done to what they
make, and what they are called. The order in which code runs them means nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

from tli_cli.describe.vocabulary_places import module_place
from tli_cli.grouping import grouped
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Key, Unit

Teller = tuple[Mapping[Key, Hashable], Mapping[Key, Hashable]]
"""What is known of each target unit and of each source unit."""


def paired(
    targets: Sequence[Unit], sources: Sequence[Unit], tellers: Sequence[Teller]
) -> Iterator[tuple[Unit, Unit, bool]]:
    """Pair as many units of either side: those of which the first of `tellers` says what it says as often on the other
    side, then the rest by the next ones, and what is left in order. Of each pair it is said whether it was told from
    all others."""
    if not tellers or len(targets) == 1:
        alone = len(targets) == 1
        yield from ((t, s, alone) for t, s in zip(targets, sources, strict=True))
        return
    (wanted, offered), *others = tellers
    asking, giving = grouped(targets, lambda t: wanted[t.key]), grouped(sources, lambda s: offered[s.key])
    told = {value for value, same in asking.items() if value and len(same) == len(giving.get(value, ()))}
    for value in asking:
        if value in told:
            yield from paired(asking[value], giving[value], others)
    rest = [t for t in targets if wanted[t.key] not in told], [s for s in sources if offered[s.key] not in told]
    if rest[0]:
        yield from paired(*rest, others)


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
        if len(taken) == len(target.units):
            return
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
    lambda unit: module_place(unit.path),
    lambda unit: tuple(re.findall(r"\d+", unit.path)),
)
"""What of a name tells, from what is certain to what is likely."""
