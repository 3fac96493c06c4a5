"""Batch norms go with the layer before them: statistics of other channels would do harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tli_cli.architecture import Architecture
from tli_cli.grouping import grouped
from tli_cli.matching.followers import normalised_layers
from tli_cli.matching.segments import blocks_of, split_ends
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair


def norms_follow(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` with each batch norm paired with the norm behind the partner of the layer before it.

    A batch norm behind a layer that nothing feeds is left unpaired, and so is one whose layer's partner has no norm;
    one whose partner the source does not run is left as it is. Where no graph shows what stands before them, norms of
    one name stay together, and so do those of two blocks that hold as many of each width, and one with its partner of
    which its place in the file tells nothing.
    """
    before = normalised_layers(target)
    normalised = normalised_layers(source)
    behind = grouped(normalised, normalised.__getitem__)
    sources = {unit.place: unit for unit in matching.sources if unit.kind == "norm"}
    feeds = {pair.target.place: pair for pair in matching.pairs}
    pairs = dict(matching.by_target)
    told = bool(target.graph and source.graph)
    loose = sources.keys() - {norm for norms in behind.values() for norm in norms}
    held_by = _batch_norms(matching.targets), _batch_norms(matching.sources)
    for unit in matching.targets:
        if unit.kind != "norm" or unit.flavour != "batch" or unit.place not in before:
            continue
        fed = feeds.get(before[unit.place])
        held = pairs.get(unit.key)
        place, path = (held.source.place, held.source.path) if held is not None else (-1, "")
        idle = bool(source.run) and place not in source.run
        named = any(f".{one}".endswith(f".{other}") for one, other in ((unit.path, path), (path, unit.path)))
        alike = held is not None and held_by[0][unit.home] == held_by[1][held.source.home]
        if held is not None and (idle or (not told and (place in loose or named or alike))):
            continue
        partners = [sources[norm] for norm in behind.get(fed.source.place, ()) if norm in sources] if fed else []
        if fed is None or not partners:
            pairs.pop(unit.key, None)
        elif unit.key not in pairs or pairs[unit.key].source not in partners:
            pairs[unit.key] = Pair(unit, partners[-1], unit_similarity(unit, partners[-1]), repeat=fed.repeat)
    return matching.with_pairs(pairs)


def _batch_norms(units: Sequence[Unit]) -> Mapping[str, Counter[tuple[int, ...]]]:
    """Return for each block how many batch norms of each width it holds."""
    norms = (unit for unit in units if unit.kind == "norm" and unit.flavour == "batch")
    return {home: Counter(norm.shape for norm in held) for home, held in grouped(norms, lambda u: u.home).items()}


def norms_of_others(target: Architecture, units: Sequence[Unit], pairs: Iterable[Pair]) -> Iterator[tuple[int, int]]:
    """Yield for each batch norm that is fed, behind a layer that is not fed from one of its kind and size, the places
    of both; of layers of the stem, which differ in the input's channels alone, none."""
    fed = {pair.target.place: pair for pair in pairs}
    stem = {unit.place for block in split_ends(blocks_of(units))[0] for unit in block.units}
    for norm, linear in normalised_layers(target).items():
        pair = fed.get(linear)
        same = pair is not None and pair.target.exact_label == pair.source.exact_label
        if norm in fed and linear not in stem and not same and target.layers[norm].attribute("norm") == "batch":
            yield norm, linear
