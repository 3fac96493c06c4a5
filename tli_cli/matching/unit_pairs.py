"""Pair the units of two blocks, and change over what a guessed order crossed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tli_cli.matching.alignment import align
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Pair

REUSE = 0.5
REUSABLE = ("conv", "dense", "linear", "norm")
ENOUGH = 0.3

Places = tuple[tuple[int, int, float], ...]
_KNOWN: dict[tuple[tuple[int, ...], ...], Places] = {}
_MOST_KNOWN = 1 << 16


def pair_units(
    targets: Sequence[Unit], candidates: Sequence[Unit], reusable: Sequence[Unit]
) -> list[tuple[Unit, Unit, float]]:
    """Pair the units of two blocks: in order, then what is left in any order, then sources again at a lower reward.

    `candidates` are among `reusable`. What is found for units that are alike is kept: blocks are often the same.
    """
    place = {unit.key: i for i, unit in enumerate(reusable)}
    free = tuple(place[unit.key] for unit in candidates)
    key = (tuple(unit.label for unit in targets), tuple(unit.label for unit in reusable), free)
    found = _KNOWN.get(key)
    if found is None:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        found = _KNOWN[key] = _places(targets, reusable, free)
    return [(targets[i], reusable[j], similarity) for i, j, similarity in found]


def _places(targets: Sequence[Unit], reusable: Sequence[Unit], free: tuple[int, ...]) -> Places:
    """Return (target, reusable unit, similarity) by place; `free` are the places of those that nothing uses yet."""
    table = [[unit_similarity(t, s) for s in reusable] for t in targets]
    aligned = align([[row[j] for j in free] for row in table]) if free else []
    pairs = [(i, free[j], table[i][free[j]]) for i, j in aligned]
    pairs = [pair for pair in pairs if pair[2] >= ENOUGH]
    used = {j for _, j, _ in pairs}
    done = {i for i, _, _ in pairs}
    for i, t in enumerate(targets):
        if i in done:
            continue
        again = range(len(reusable)) if t.kind in REUSABLE else ()
        options = [(table[i][j], j) for j in free if j not in used] + [(REUSE * table[i][j], j) for j in again]
        value, best = max(options, key=lambda option: option[0], default=(0.0, -1))
        if value >= ENOUGH:
            pairs.append((i, best, value))
            used.add(best)
    return tuple(pairs)


def uncrossed(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs, two of one block at a time with their sources changed over where one then has its target's
    role, and neither had, and the other has it too or is named for nothing: what was paired in an order that was
    guessed."""
    found = list(pairs)
    wrong = [i for i, pair in enumerate(found) if _is_wrong(pair)]
    for place in wrong:
        for other in wrong:
            first, second = found[place], found[other]
            both = first.target.role and _is_wrong(first) and _is_wrong(second) and _fits(first, second)
            if both and (not second.target.role or _fits(second, first)):
                found[place], found[other] = _with_source_of(first, second), _with_source_of(second, first)
                break
    return found


def _is_wrong(pair: Pair) -> bool:
    return not pair.anchored and pair.target.role != pair.source.role


def _fits(pair: Pair, other: Pair) -> bool:
    """Tell whether the target of `pair` has role and shape of `other`'s source, which is in one block with its own."""
    t, s = pair.target, other.source
    return (t.role, t.kind, t.shape, s.block) == (s.role, s.kind, s.shape, pair.source.block)


def _with_source_of(pair: Pair, other: Pair) -> Pair:
    return Pair(pair.target, other.source, unit_similarity(pair.target, other.source), repeat=other.repeat)
