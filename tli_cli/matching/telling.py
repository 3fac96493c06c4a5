"""Units that are alike, told apart by one thing after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

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
    asking, giving = _by_answer(targets, wanted), _by_answer(sources, offered)
    told = {value for value, same in asking.items() if value and len(same) == len(giving.get(value, ()))}
    for value in asking:
        if value in told:
            yield from paired(asking[value], giving[value], others)
    rest = [t for t in targets if wanted[t.key] not in told], [s for s in sources if offered[s.key] not in told]
    if rest[0]:
        yield from paired(*rest, others)


def _by_answer(units: Sequence[Unit], answers: Mapping[Key, Hashable]) -> dict[Hashable, list[Unit]]:
    """Return the units of each answer that a teller gives of them, in order."""
    found: dict[Hashable, list[Unit]] = defaultdict(list)
    for unit in units:
        found[answers[unit.key]].append(unit)
    return found
