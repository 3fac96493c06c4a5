"""What is built around a network takes nothing from its inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from tli_cli.architecture import Architecture
from tli_cli.matching.bags import overlap
from tli_cli.matching.left_over import left_between
from tli_cli.matching.segments import WEIGHTED, Block, split_ends
from tli_cli.matching.units import Key, Unit, main_tensor
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.listed_rows import class_rows
from tli_cli.planning.spaces.dims import tensor_dims
from tli_cli.planning.starts.chains import chain_layers

OF_ONE_KIND = 0.75
"""The share of their layers that two blocks have in common, sizes apart, of which one may be a copy of the other."""

HELD = 0.9
"""The share of a source's weighted layers that a target of its family holds, if it is mostly something else."""


def without_foreign(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` without the pairs by which a source block feeds a block that it is not like, where it has a
    twin in the target: a pyramid, a decoder or a head beside the same backbone.

    Where the target holds the whole source, no layer of it feeds one of another width beside its twin. Rows of classes
    feed no channels, nor channels rows of classes, where these are more than a guess against one name on both sides,
    nor a scale or a head of some channels one of others.
    """
    told = [p for p in matching.pairs if target.graph or source.graph or p.target.path != p.source.path]
    resized = [pair for pair in told if pair.target.shape != pair.source.shape]
    gives = {p.target.key: (_makes_classes(target, p.target), _makes_classes(source, p.source)) for p in resized}
    foreign = (
        _unlike_twins(matching)
        | _wider_or_narrower_than_twins(matching, target)
        | _scales_of_other_channels(matching)
        | _heads_of_other_channels(matching, target, source)
        | {key for key, classes in gives.items() if classes[0] != classes[1]}
    ) - {pair.target.key for pair in matching.pairs if pair.anchored and gives.get(pair.target.key) != (False, True)}
    kept = tuple(pair for pair in matching.pairs if pair.target.key not in foreign)
    if len(kept) == len(matching.pairs):
        return matching
    between = left_between(matching.targets, matching.sources, kept)
    found = {pair.target.key: pair for pair in (*kept, *between)}
    lost = {pair.target.key for pair in matching.pairs} - found.keys()
    keys = {block.name: {unit.key for unit in block.units} for block in matching.target_blocks}
    alone = {name for name, members in keys.items() if members & lost and not members & found.keys()}
    fed = {name for name, members in keys.items() if any(not found[key].repeat for key in members & found.keys())}
    return replace(matching.with_pairs(found), added_blocks=matching.added_blocks - alone - fed)


def without_false_copies(matching: Matching) -> Matching:
    """Return `matching` in which blocks that stand in another order alone, each fed by its own, are not added."""
    users = Counter(pair.source.key for pair in matching.pairs)
    given = {pair.target.key: pair.source.key for pair in matching.pairs}
    fed = {b.name: [u.key for u in b.units if u.key in given] for b in matching.target_blocks}
    added = matching.added_blocks
    moved = {n for n, keys in fed.items() if n in added and keys and all(users[given[k]] == 1 for k in keys)}
    units = {key for name in moved for key in fed[name]}
    pairs = tuple(replace(p, repeat=False) if p.target.key in units else p for p in matching.pairs)
    return replace(matching, pairs=pairs, added_blocks=added - moved) if moved else matching


def holds(matching: Matching) -> bool:
    """Tell whether the target holds nearly all of the source but its head, layer by layer and in its size."""
    head = {unit.key for block in split_ends(matching.source_blocks)[2] for unit in block.units}
    weighted = [unit for unit in matching.sources if unit.kind in WEIGHTED and unit.key not in head]
    held = _held(matching)
    return sum(unit.key in held for unit in weighted) >= HELD * len(weighted)


def _held(matching: Matching) -> set[Key]:
    """Return the layers of the source that feed one of their own size, once."""
    return {p.source.key for p in matching.pairs if p.source.exact_label == p.target.exact_label and not p.repeat}


def _wider_or_narrower_than_twins(matching: Matching, target: Architecture) -> set[Key]:
    """Return the layers that are fed from one of another width that has a twin; none where not the whole source is
    held. Of added layers that can start as the identity no value counts."""
    if not holds(matching):
        return set()
    held = _held(matching)
    added = [block.units for block in matching.target_blocks if block.name in matching.added_blocks]
    plain = {place for units in added for place in chain_layers(target, units)}
    found = (p for p in matching.pairs if p.source.key in held and p.target.place not in plain)
    return {pair.target.key for pair in found if pair.source.shape[:1] != pair.target.shape[:1]}


def _makes_classes(architecture: Architecture, unit: Unit) -> bool:
    return class_rows(architecture, main_tensor(architecture.layers[unit.place]) or "") > 0


def _scales_of_other_channels(matching: Matching) -> set[Key]:
    """Return the scales of vectors that are fed from one of another width, where no layer is fed across the two."""
    widths = {widths for p in matching.pairs if p.target.kind in WEIGHTED for widths in _widths(p)}
    scales = (p for p in matching.pairs if p.target.kind == p.source.kind == "scale" and len(p.target.shape) == 1)
    return {p.target.key for p in scales if p.target.shape != p.source.shape and not widths.intersection(_widths(p))}


def _heads_of_other_channels(matching: Matching, target: Architecture, source: Architecture) -> set[Key]:
    """Return the heads that take another number of channels than their partners, where no layer that makes the one is
    fed from one that makes the other; of parts end to end, part by part as far as both have them."""
    if not (target.graph and source.graph):
        return set()
    # what reads a state is read as wide as it makes it, one gate of several
    made = {w for p in matching.pairs for w in list(_widths(p))[: 2 if p.target.role == "hh" else 1]}
    heads = (p for p in matching.pairs if p.target.kind in WEIGHTED and _makes_classes(target, p.target))
    takes = ((p, _pairwise(_channels(target, p.target), _channels(source, p.source))) for p in heads)
    return {p.target.key for p, widths in takes if any(1 < w[0] != w[1] > 1 and w not in made for w in widths)}


def _pairwise(mine: Sequence[int], theirs: Sequence[int]) -> list[tuple[int, int]]:
    parted = (len(mine) > 1) == (len(theirs) > 1)
    return list(zip(mine, theirs, strict=False)) if parted else [(sum(mine), sum(theirs))]


def _channels(architecture: Architecture, unit: Unit) -> list[int]:
    """Return how many channels a layer takes, part by part where they lie end to end, places beside them apart."""
    axes = architecture.axes.get(main_tensor(architecture.layers[unit.place]) or "", ())
    taken = [dim for dim in tensor_dims(architecture, axes) if dim.contracted and dim.kind == "channels"]
    tree = taken[0].tree if len(taken) == 1 else 0
    if isinstance(tree, tuple) and tree[0] == "+":
        return [architecture.size_of(part) for part in tree[1:]]
    return [prod(dim.size for dim in taken)]


def _widths(pair: Pair) -> Iterator[tuple[int, int]]:
    """Yield what a layer makes or takes, with what its partner does."""
    yield from zip(pair.target.shape, pair.source.shape, strict=False)


def _unlike_twins(matching: Matching) -> set[Key]:
    home = {unit.key: block for block in matching.source_blocks for unit in block.units}
    blocks = matching.target_blocks
    given = {pair.target.key: pair.source.key for pair in matching.pairs}
    fed = [(t, s) for t in blocks if t.weighted > 1 and (s := _feeder(t, given, home)) is not None]
    twins = {s.name: t.name for t, s in fed if overlap(t.shapes, s.shapes) == 1}
    foreign: set[Key] = set()
    for block in blocks:
        for unit in block.units:
            s = home.get(given[unit.key]) if unit.key in given else None
            if s is not None and twins.get(s.name, block.name) != block.name:
                foreign |= {unit.key} if overlap(block.forms, s.forms) < OF_ONE_KIND else set()
    return foreign


def _feeder(block: Block, given: dict[Key, Key], home: dict[Key, Block]) -> Block | None:
    """Return the source block that feeds the most units of `block`, if any does."""
    votes = Counter(home[given[unit.key]].name for unit in block.units if unit.key in given)
    name = max(votes, key=votes.__getitem__, default="")
    return next((home[given[u.key]] for u in block.units if u.key in given and home[given[u.key]].name == name), None)
