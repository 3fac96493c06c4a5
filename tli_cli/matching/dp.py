"""The default matcher: what the graphs prove, then stages, blocks and layers aligned in order by dynamic programming.

It extends the alignment of DPIAT (arXiv 2212.13970), which aligns blocks and then layers, by anchors from the
execution graph and by stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.matching.anchors import Strength, anchors
from tli_cli.matching.beside import heads_beside
from tli_cli.matching.between import left_between
from tli_cli.matching.blocks import pair_blocks, pair_stages
from tli_cli.matching.crossed import uncrossed
from tli_cli.matching.namesakes import namesakes
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.tied import biases_of_tables, heads_apart, tables_in_heads, tied_heads
from tli_cli.matching.towers import of_common_inputs
from tli_cli.matching.twins import are_all, in_other_words, twins, without_extras
from tli_cli.matching.uncut import with_whole_layers
from tli_cli.matching.unit_pairs import ENOUGH, pair_units
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair


def match_dp(source: Architecture, target: Architecture) -> Matching:
    """Return the matching of `target`'s units to those of `source`; deterministic, reads no values."""
    return match_sides(Side(source), Side(target))


def match_sides(source: Side, target: Side) -> Matching:
    """Return the matching of two sides, which may be used again for other pairs."""
    known = both_known(source, target)
    source, target = (source, target) if known else with_whole_layers(source, target)
    targets, sources = target.units, source.units
    source, target = of_common_inputs(source, target)
    sakes = namesakes(source, target)
    source, target = (source, target) if known else _without_extras(source, target, sakes)
    by_key = {unit.key: unit for unit in source.units}
    found: dict[Key, Pair] = {}
    strengths: dict[Key, Strength] = {}
    for t, s, strength in anchors(source, target):
        named = s if strength is not Strength.PROVEN or s.role == t.role else replace(s, role=t.role)
        found[t.key] = Pair(t, s, unit_similarity(t, named), anchored=True)
        strengths[t.key] = strength
    same = list(twins(source, target))
    for t, s in same:
        found[t.key] = Pair(t, s, max(unit_similarity(t, in_other_words(t, s)), ENOUGH))
    _believe(sakes if not known or len(sakes) == len(target.units) else (), found, known)
    for t, s in (*tied_heads(source, target), *tables_in_heads(source, target)):
        found.setdefault(t.key, Pair(t, s, unit_similarity(t, replace(s, kind=t.kind)), anchored=True))
    for t, s in biases_of_tables(source, target):
        found.setdefault(t.key, Pair(t, s, ENOUGH, anchored=True))
    proven = {key for key, strength in strengths.items() if strength is Strength.PROVEN}
    _replace(heads_beside(source, target), found, proven)
    partners = {key: pair.source.key for key, pair in found.items()}
    stages = pair_stages(target, source, partners)
    paired = pair_blocks(target, source, stages, partners)
    body = {block.name for block in target.ends[1]}
    one_network = are_all(same, source, target) or len(proven) == len(targets) == len(sources)
    stages = tuple(replace(pair, room=1.0) for pair in stages) if one_network else stages
    certain = {key for key, strength in strengths.items() if strength is not Strength.LIKELY}
    stages = tuple(replace(p, kinship=1.0) if certain.issuperset(u.key for u in p.target.units) else p for p in stages)
    proven |= found.keys() if all(unit.key in found for unit in target.units) else set()
    repeated = {
        blocks.target.name
        for blocks in paired
        if blocks.repeat and not any(unit.key in proven for unit in blocks.target.units)
    }
    for blocks in paired:
        home = {unit.key for unit in blocks.source.units}
        for unit in blocks.target.units:
            likely = strengths.get(unit.key) is Strength.LIKELY
            stray = likely and partners[unit.key] not in home and blocks.target.name in body
            if stray or blocks.target.name in repeated:
                found.pop(unit.key, None)
    given = {pair.source.key for pair in found.values()}
    for blocks in paired:
        repeat = blocks.target.name in repeated
        wanted = [unit for unit in blocks.target.units if unit.key not in found]
        candidates = [unit for unit in blocks.source.units if repeat or unit.key not in given]
        for t, s, similarity in pair_units(wanted, candidates, list(blocks.source.units)):
            found[t.key] = Pair(t, by_key[s.key], similarity, repeat=repeat)
            given |= set() if repeat else {s.key}
    if not known:
        found = {pair.target.key: pair for pair in uncrossed(found.values())}
    if strengths:
        _feed_between(target, source, found, repeated)
        given = {pair.source.key for pair in found.values()}
    for wanted, offered in _ends(target, source):
        left = [unit for unit in offered if unit.key not in given]
        for t, s, similarity in pair_units([unit for unit in wanted if unit.key not in found], left, left):
            found[t.key] = Pair(t, by_key[s.key], similarity)
    pairs = tuple(found[unit.key] for unit in target.units if unit.key in found)
    used = {pair.source.key for pair in pairs}
    heads = tuple((t, s) for t, s in heads_apart(source, target) if t.key in found and s.key not in used)
    return Matching(pairs, targets, sources, frozenset(repeated), stages, one_network=one_network, heads=heads)


def _without_extras(source: Side, target: Side, named: Sequence[tuple[Unit, Unit]]) -> tuple[Side, Side]:
    """Return both sides without the modules that only one of them has; what has a namesake is none."""
    sides = zip((source, target), without_extras(source, target), (1, 0), strict=True)
    kept = [(side, {u.key for u in less.units} | {pair[at].key for pair in named}) for side, less, at in sides]
    return tuple(  # type: ignore[return-value]
        side if len(keys) == len(side.units) else side.of([unit for unit in side.units if unit.key in keys])
        for side, keys in kept
    )


def _believe(named: Sequence[tuple[Unit, Unit]], found: dict[Key, Pair], known: bool) -> None:
    """Add pairs of one name, in place of others; between two graphs only what these leave open."""
    if not known:
        theirs = {s.key for _, s in named}
        for key in [key for key, pair in found.items() if pair.source.key in theirs]:
            del found[key]
    given = {pair.source.key for pair in found.values()}
    for t, s in named:
        if (t.key not in found and s.key not in given) or not known:
            found[t.key] = Pair(t, s, max(unit_similarity(t, s), ENOUGH))


def _replace(pairs: Iterable[tuple[Unit, Unit]], found: dict[Key, Pair], proven: set[Key]) -> None:
    """Add pairs in place of those of either unit that are not proven."""
    for t, s in pairs:
        held = [key for key, pair in found.items() if t.key == key or s.key == pair.source.key]
        if proven.isdisjoint(held):
            for key in held:
                del found[key]
            found[t.key] = Pair(t, s, unit_similarity(t, s), anchored=True)


def _feed_between(target: Side, source: Side, found: dict[Key, Pair], repeated: set[str]) -> None:
    """Pair what is left over of one size between other pairs, which goes before blocks that are added."""
    home = {unit.key: block.name for block in target.blocks for unit in block.units}
    once = [pair for pair in found.values() if not pair.repeat]
    for pair in left_between(target.units, source.units, once):
        found[pair.target.key] = pair
        repeated.discard(home[pair.target.key])


def _ends(target: Side, source: Side) -> Iterator[tuple[list[Unit], list[Unit]]]:
    """Yield the units of the two stems, and of the two heads, which libraries cut into blocks in their own ways."""
    (t_stem, _, t_head), (s_stem, _, s_head) = target.ends, source.ends
    for blocks, others in ((t_stem, s_stem), (t_head, s_head)):
        yield tuple([unit for block in side for unit in block.units] for side in (blocks, others))  # type: ignore[misc]
