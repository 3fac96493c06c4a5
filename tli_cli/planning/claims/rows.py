"""Blocks of bare checkpoints that nothing shows to belong to the row, or to the place in it, that they are put in."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import apart
from tli_cli.describe.vocabulary_places import module_places, tower
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.undirected import row_of, spelled_row, undirected_blocks
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair

Told = Callable[[Unit], str]
"""What a unit is for, as far as the other side knows such units too; "" where nothing tells."""
NESTED = re.compile(r"(.*?)\.([a-z_]\w*)(\.[0-9]+)*\.\2\.", re.I)
"""The path of what is within a module of its own name, with what stands before both."""
DIRECTION = "nothing tells from which end the blocks of its row are counted"
WITHIN = "its blocks stand within each other in one of the two networks alone"


def untold_rows(
    matching: Matching, target: Architecture, source: Architecture, mine: Told, theirs: Told
) -> dict[int, str]:
    """Return for each of the target's layers, by place, why nothing shows that its block is fed from the one that
    belongs there, where nothing does; what is said of one layer holds for all of the same two blocks."""
    away = _rivals_elsewhere(target, matching.targets, mine), _rivals_elsewhere(source, matching.sources, theirs)
    rows = {spelled_row(unit.block) for unit in matching.sources}
    away_from = (p for p in matching.pairs if p.source.key in away[1] and not _at_home(p))
    strayed = {_sort(pair) for pair in away_from if spelled_row(pair.target.block) in rows}
    places = _places(matching.targets), _places(matching.sources)
    usual = _usual_starts(matching.pairs)
    undirected = _undirected(target, matching.targets) | _undirected(source, matching.sources)
    nested = _nested(target, matching.targets), _nested(source, matching.sources)
    found: dict[tuple[str, str], str] = {}
    for pair in matching.pairs:
        if pair.anchored:
            continue
        elsewhere = away[1].get(pair.source.key) or away[0].get(pair.target.key)
        if elsewhere and (not _at_home(pair) or _sort(pair) in strayed):
            found[_blocks(pair)] = f"nothing tells its block from that of {elsewhere}"
        elif _starts(pair) != usual and _is_out_of_place(pair, *places):
            found[_blocks(pair)] = f"by its name {pair.source.path} belongs elsewhere"
        elif not _at_home(pair) and undirected & {pair.target.block, pair.source.block}:
            found[_blocks(pair)] = DIRECTION
        elif (pair.target.block in nested[0]) != (pair.source.block in nested[1]) and not _at_home(pair):
            found[_blocks(pair)] = WITHIN
    return {p.target.place: found[_blocks(p)] for p in matching.pairs if not p.anchored and _blocks(p) in found}


def _rivals_elsewhere(architecture: Architecture, units: Sequence[Unit], told: Told) -> dict[Key, str]:
    """Return the path of a unit of one kind and shape in a block of another row for each unit that has some, where no
    name says which row comes first."""
    if architecture.graph or architecture.order_from != "inferred":
        return {}
    rows: dict[Hashable, dict[str, list[Unit]]] = defaultdict(lambda: defaultdict(list))
    for unit in units:
        row = row_of(unit.block)
        if unit.block != unit.path and unit.kind in WEIGHTED:
            rows[unit.kind, unit.shape, told(unit), module_places(row), tower(f"{row}.")][row].append(unit)
    several = [list(found.values()) for found in rows.values() if len(found) > 1]
    return {u.key: found[i - 1][0].path for found in several for i, row in enumerate(found) for u in row}


def _undirected(architecture: Architecture, units: Sequence[Unit]) -> frozenset[str]:
    """Return the blocks of decoders of maps, and of what joins maps of several widths that were brought to one, that
    may be counted from either end: no width tells."""
    return frozenset() if architecture.graph else undirected_blocks(units)


def _nested(architecture: Architecture, units: Sequence[Unit]) -> frozenset[str]:
    """Return the blocks of modules that stand beside others and hold the like of all of these, their own like among
    them, and so on, of which others there, in more of these or in fewer, have layers of the same shapes."""
    if architecture.graph:
        return frozenset()
    found: set[str] = set()
    for root, word in {(m[1], m[2]) for unit in units if (m := NESTED.match(f".{unit.path}."))}:
        held = [unit for unit in units if f".{unit.path}".startswith(f"{root}.")]
        names = {f".{unit.path}".removeprefix(f"{root}.").partition(".")[0] for unit in held} - {word}
        again = {name for name in names if any(f".{u.path}.".startswith(f"{root}.{word}.{name}.") for u in held)}
        if not names or names != again:
            continue
        depths: dict[Hashable, set[int]] = defaultdict(set)
        for unit in held:
            depths[unit.exact_label].add(unit.path.split(".").count(word))
        found |= {unit.block for unit in held if len(depths[unit.exact_label]) > 1}
    return frozenset(found)


def _places(units: Sequence[Unit]) -> frozenset[Hashable]:
    """Return the shapes of weighted units with where the modules that they stand in are named to be."""
    return frozenset((u.shape, module_places(u.block)) for u in units)


def _is_out_of_place(pair: Pair, mine: frozenset[Hashable], theirs: frozenset[Hashable]) -> bool:
    """Tell whether the names of both put them in other places, such as a middle and a decoder: where one name tells
    none, another unit of this shape is named as in the other's place."""
    t, s = pair.target, pair.source
    here, there = module_places(t.block), module_places(s.block)
    return here != there and (bool(there) or (s.shape, here) in theirs) and (bool(here) or (t.shape, there) in mine)


def _usual_starts(pairs: Sequence[Pair]) -> tuple[str, str] | None:
    """Return what stands before all that the names of a pair have in common, where that is the same of most pairs and
    the names of one side have nothing before it: what holds all of a network says nothing of a place in it."""
    starts, count = next(iter(Counter(map(_starts, pairs)).most_common(1)), (("", ""), 0))
    return starts if 2 * count > len(pairs) and not all(starts) else None


def _starts(pair: Pair) -> tuple[str, str]:
    return apart(pair.target.path, pair.source.path)


def _blocks(pair: Pair) -> tuple[str, str]:
    return pair.target.block, pair.source.block


def _sort(pair: Pair) -> Hashable:
    return pair.source.kind, pair.source.shape, pair.source.role


def _at_home(pair: Pair) -> bool:
    return spelled_row(pair.target.block) == spelled_row(pair.source.block)
