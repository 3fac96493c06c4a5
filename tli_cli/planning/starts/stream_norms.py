"""Norms of added blocks that act on the residual stream itself, as in the first transformers (arXiv 1706.03762).

A norm of what a norm has normalised changes nothing, up to what is added to the variance, if both have ones and zeros
for weight and bias. So the norm before an added block passes on what it normalises, the block's own do the same, and
the last one of these takes the weight and bias of the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.matching.segments import Block
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import starts

Settled = dict[int, set[int]]
"""By the last norm of an added block those before it that pass on what they normalise."""


def stream_norms(architecture: Architecture, units: Sequence[Unit]) -> list[int]:
    """Return the places of the norms of a block that act on the residual stream itself, in the order of execution."""
    return [place for place, _ in _stream_norms(architecture, {unit.place for unit in units})]


def norms_moved_behind(target: Architecture, matching: Matching, blocks: Collection[Block]) -> tuple[Matching, Settled]:
    """Return `matching` with the partner of the norm before an added block given to the block's last norm, and what
    passes on what it normalises for that."""
    pairs = {pair.target.place: pair for pair in matching.pairs if pair.target.kind == "norm"}
    settled = Settled()
    for block in blocks:
        members = {unit.place for unit in block.units}
        norms = stream_norms(target, block.units) if block.name in matching.added_blocks else []
        before = _norm_before(target, members) if norms else -1
        if norms and {before, norms[-1]} <= pairs.keys() and are_alike(target, [before, *norms]):
            last, fed = norms[-1], pairs[before]
            pairs[last] = replace(fed, target=pairs[last].target)
            pairs[before] = replace(fed, repeat=True, anchored=False)
            settled[last] = {before, *norms[:-1]}
    moved = tuple(pairs[p.target.place] if p.target.kind == "norm" else p for p in matching.pairs)
    return (replace(matching, pairs=moved) if settled else matching), settled


def _stream_norms(architecture: Architecture, members: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield the place of each norm of a block that alone reads a sum which begins before the block or with such a
    norm, and the node of that sum."""
    graph, begun, within = architecture.graph, starts(architecture), {*members}
    for index, node in enumerate(graph):
        after = {graph[i].layer for i in architecture.readers[index]}
        alone = node.op == "add" and len(after) == 1 and after <= {*members} and graph[begun[index]].layer not in within
        if alone and architecture.layers[min(after)].kind == "norm":
            within -= after
            yield min(after), index


def _norm_before(architecture: Architecture, members: Collection[int]) -> int:
    """Return the place of the norm that makes the stream which a block, and nothing else, takes; -1 if none does."""
    graph, begun = architecture.graph, starts(architecture)
    sums = [index for _, index in _stream_norms(architecture, members)]
    start = begun[sums[0]] if sums else -1
    place = graph[start].layer
    if not sums or place in members or place < 0 or architecture.layers[place].kind != "norm":
        return -1
    trunk = {i for i in range(sums[-1] + 1) if begun[i] == start and graph[i].op == "add"}
    return place if all(i in trunk or graph[i].layer in members for i in architecture.readers[start]) else -1


def are_alike(architecture: Architecture, places: Sequence[int]) -> bool:
    """Tell whether norms average over the same channels in the same way, each place on its own."""
    layers = [architecture.layers[place] for place in places]
    known = {(layer.attribute("norm"), layer.averages, len(layer.tensors)) for layer in layers}
    channels = [architecture.axes.get(name, ())[-1:] for layer in layers for _, name in layer.tensors]
    return len(known) == len({*channels}) == 1 and layers[0].attribute("norm") in ("layer", "rms")
