"""The blocks that a target adds: which of their layers start so that the blocks change nothing.

Residual branches end in zeros, and plain chains of layers start as the identity (Net2DeeperNet, arXiv 1511.05641).

Norms may act on the residual stream itself, as in the first transformers (arXiv 1706.03762). A norm of what a norm has
normalised changes nothing, up to what is added to the variance, if both have ones and zeros for weight and bias. So the
norm before an added block passes on what it normalises, the block's own do the same, and the last one of these takes
the weight and bias of the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.walks import walked
from tli_cli.matching.followers import normalised_layers
from tli_cli.matching.hashes import JOINS
from tli_cli.matching.segments import WEIGHTED, Block
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import branch_ends, ends_by_name, starts


def chain_layers(architecture: Architecture, units: Iterable[Unit]) -> set[int]:
    """Return the layers of an added block that is a plain chain of weighted layers with equal inputs and outputs."""
    members = list(units)
    weighted = [architecture.layers[unit.place] for unit in members if unit.kind in WEIGHTED]
    places = {unit.place for unit in members}
    chain = bool(weighted) and all(_is_square(architecture, layer) for layer in weighted)
    return places if chain and is_serial(architecture, places) else set()


def added_start(role: str, unit: Unit, layer: Layer) -> str:
    """Return how a tensor of an added plain layer starts, so that non-negative features pass unchanged."""
    if unit.kind in WEIGHTED:
        return "identity" if role == "weight" else "zeros"
    return passing(layer).get(role, "zeros")


def passing(norm: Layer) -> dict[str, str]:
    """Return how the tensors of a batch norm start that passes on what it gets, by role: its variance and its epsilon,
    where that is known, add up to one."""
    variance = repr(1.0 - norm.epsilon) if norm.epsilon and norm.epsilon < 1 else "ones"
    return {"weight": "ones", "bias": "zeros", "running_mean": "zeros", "running_var": variance}


def is_serial(architecture: Architecture, places: set[int]) -> bool:
    """Tell whether the layers `places` follow each other: nothing is joined inside, and nothing goes around them."""
    inside = [i for i, node in enumerate(architecture.graph) if node.layer in places]
    if not inside:
        return not architecture.graph
    first, last = inside[0], inside[-1]
    given = set(_given(architecture, first))
    beside = (*architecture.graph[:first], *architecture.graph[last + 1 :])
    around = any(given.intersection(node.inputs) for i, node in enumerate(beside) if i not in given)
    return not around and all(node.op not in JOINS for node in architecture.graph[first : last + 1])


def _given(architecture: Architecture, index: int) -> Iterator[int]:
    """Yield the nodes whose value goes into a layer, as it is or through activations."""
    graph = architecture.graph
    return walked(graph[index].inputs, lambda i: graph[i].inputs if graph[i].op in ACTIVATIONS else ())


def _is_square(architecture: Architecture, layer: Layer) -> bool:
    name = layer.tensor("weight") or (layer.tensors[0][1] if layer.tensors else "")
    shape = architecture.by_name[name].shape if name else ()
    stride = layer.attribute("stride", ())
    square = len(shape) >= 2 and shape[0] == shape[1] and all(k % 2 for k in shape[2:])
    return square and all(step == 1 for step in stride)


Settled = dict[int, set[int]]
"""By the last norm of an added block those before it that pass on what they normalise."""


@dataclass(frozen=True)
class Additions:
    """Layers of added blocks, by their places.

    `ends` end residual branches and give zero at first, `bypassed` are all layers of blocks that then add nothing,
    `chains` those of plain chains that start as the identity, `norms` those that pass on what has been normalised, and
    `inexact` the ends and chains of blocks that are not quite the identity for all that.
    """

    ends: Collection[int] = frozenset()
    bypassed: Collection[int] = frozenset()
    chains: Collection[int] = frozenset()
    inexact: Collection[int] = frozenset()
    norms: Collection[int] = frozenset()


def additions(
    target: Architecture,
    matching: Matching,
    blocks: Collection[Block],
    settled: Settled,
) -> Additions:
    """Return how the added ones among the target's `blocks` start. Norms `settled` are the source's own in place of
    those that pass on what they normalise."""
    passing = {place for places in settled.values() for place in places}
    ends, bypassed, chains, inexact = set[int](), set[int](), {*passing}, set[int]()
    new = [block.units for block in blocks if block.name in matching.added_blocks]
    added = {unit.place for units in new for unit in units}
    for units in new:
        members = {unit.place for unit in units}
        around = passing_shortcuts(target, members)
        found = branch_ends(target, units, added, passing | around) if target.graph else ends_by_name(units, blocks)
        ends |= found
        norms = stream_norms(target, units)
        if norms and not {*norms} & (settled.keys() | passing):
            inexact |= found
        elif found:
            bypassed |= members.difference(norms)
        chain = around if found else chain_layers(target, units)
        chains |= chain
        idle = all(target.layers[i].kind != "norm" or target.layers[i].tensor("running_var") for i in chain)
        inexact |= set() if target.graph and idle else chain  # no other norms pass on what they get
    chains |= _within_blocks(target, matching) if target.graph else set()
    return Additions(ends, bypassed, chains, inexact, passing)


def _within_blocks(target: Architecture, matching: Matching) -> set[int]:
    """Return the layers of plain chains without norms that blocks have more of than the source's, of stages that work
    alike."""
    normed = {place for pair in normalised_layers(target).items() for place in pair}
    blocks = (block for pair in matching.stages if pair.kinship == 1 for block in pair.target.blocks)
    units = [unit for block in blocks if block.name not in matching.added_blocks for unit in block.units]
    runs = groupby(units, lambda unit: (unit.key in matching.reused and unit.place not in normed, unit.home))
    return {place for (added, _), run in runs if added for place in chain_layers(target, run)}


def passing_shortcuts(target: Architecture, members: Collection[int]) -> set[int]:
    """Return the scales and batch norms among the layers `members` of an added block that act on what goes around its
    branches, as in MetaFormer (arXiv 2210.13452) and RepVGG (arXiv 2101.03697)."""
    graph, readers, layers = target.graph, target.readers, target.layers
    kinds = [i for i in members if layers[i].kind == "scale" or layers[i].tensor("running_var")]
    summed = (i for i, n in enumerate(graph) if n.layer in kinds and {graph[j].op for j in readers[i]} == {"add"})
    return {graph[i].layer for i in summed if any(len(readers[j]) > 1 for j in graph[i].inputs)}


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
