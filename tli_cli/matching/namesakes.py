"""What names of layers tell of two networks: those of one name and one shape, where nearly all layers of one side are
such (files of one library, of one class or of classes of which one holds the other), or of all layers of both, whatever
their sizes; names in common that are cut short in one of the two (`time_mix_k` and `time_mix_key`); and which module a
norm is for (`norm_conv` beside `conv`, `conv.layer_norm`)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import count

from tli_cli.describe.spelling import changed, enclosing, prefix_change
from tli_cli.describe.vocabulary import WRAPPERS, surroundings
from tli_cli.grouping import gathered
from tli_cli.matching.segments import WEIGHTED, have_own_shapes
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


LIKE = 0.75
"""The share of the layers of one side, its head apart, that must have a namesake on the other side for names to be
believed."""
FEWEST = 8
"""Fewer layers of one name say nothing, as `conv1`, `bn1` and `fc` are in many networks, unless nothing else on either
side has their shapes."""


def namesakes(source: Side, target: Side) -> list[tuple[Unit, Unit]]:
    """Return (target unit, source unit) for units of one name, whatever stands before all names of a side; none if too
    few layers have one of their shape. Layers of other sizes count for nothing then, but have their namesakes too."""
    least = min(len(source.tails), len(target.tails))
    if len(source.units) != len(target.units) and len(source.tails & target.tails) < LIKE / 2 * least:
        return []  # as of nearly all pairs of networks that are nothing to each other
    change = prefix_change(_paths(target.units), _paths(source.units))
    offered = _by_name(source.units)
    names = _by_name(target.units).items()
    wanted = [(unit, offered.get((changed(path, change), part, nth))) for (path, part, nth), unit in names]
    found = [(t, s) for t, s in wanted if s is not None and (t.shape, t.parts) == (s.shape, s.parts)]
    named = [(t, s) for t, s in wanted if s is not None and (t.kind, len(t.shape)) == (s.kind, len(s.shape))]
    if len(named) == len(source.units) == len(target.units):
        return named
    known = {t.key for t, _ in found}, {s.key for _, s in found}
    sides = list(zip((target, source), known, strict=True))
    enough = len(found) >= FEWEST or all(have_own_shapes(side.units, keys) for side, keys in sides)
    return named if enough and any(_are_most(*side) for side in sides) else []


def run_alike(source: Side, target: Side, named: Sequence[tuple[Unit, Unit]]) -> bool:
    """Tell whether `named` are all layers of two graphs that are one, sizes apart: two networks of one class, and no
    head of the one gives as many values as another head of the other."""
    mine, theirs = target.architecture.graph, source.architecture.graph
    if not len(named) == len(target.units) == len(source.units) or len(mine) != len(theirs):
        return False
    crossed = {unit.key: source.heads[size].key for size, unit in target.heads.items() if size in source.heads}
    if any(crossed.get(t.key, s.key) != s.key for t, s in named):
        return False
    partner = {t.place: s.place for t, s in named}
    return all(
        (t.op, t.inputs, t.index, partner.get(t.layer, -1)) == (s.op, s.inputs, s.index, s.layer)
        for t, s in zip(mine, theirs, strict=True)
    )


def _by_name(units: Sequence[Unit]) -> dict[tuple[str, int, int], Unit]:
    """Return `units` by path, part, and how many of these come before in a module that holds several layers."""
    nth: defaultdict[tuple[str, int], Iterator[int]] = defaultdict(count)
    return {(unit.path, unit.part, next(nth[unit.path, unit.part])): unit for unit in units}


def _paths(units: Sequence[Unit]) -> list[str]:
    return list(dict.fromkeys(unit.path for unit in units))


def _are_most(side: Side, known: set[Key]) -> bool:
    """Tell whether nearly all layers of `side`, its head apart, are `known`, or of its modules that hold most of it."""
    head = {unit.key for block in side.ends[2] for unit in block.units}
    counted = [u for u in side.units if u.key not in head and (u.kind in WEIGHTED or u.kind == "norm")]
    modules = gathered((unit.path.partition(".")[0], unit.key in known) for unit in counted)
    held = [found for found in modules.values() if sum(found) >= LIKE * len(found)]
    few = sum(unit.key in known for unit in counted) < LIKE * len(counted)
    return bool(counted) and (not few or 2 * sum(map(len, held)) > len(counted))
