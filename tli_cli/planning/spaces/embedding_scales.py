"""What embeddings and norms make up for: another number that code multiplies them with, as the root of the width."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile, takewhile
from math import isclose, prod

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.values import Matching, Pair
from tli_cli.noted import AS_HEAD, EPSILON, OF_THE_LAYER, OFFSET, Number
from tli_cli.planning.numbers import were_run
from tli_cli.planning.scale_numbers import SCALES, factor_of, width_power
from tli_cli.planning.spaces.tied_heads import tied_heads


def scale_gains(target: Architecture, source: Architecture, matching: Matching) -> dict[int, float]:
    """Return by what the weights of layers of `target` must be multiplied so that what goes on from its embeddings, and
    from norms to the one layer that each feeds, is what goes on in `source`.

    A head that is the table of an embedding gives that much more, which the norm before it takes back. A source of
    which the graph alone is known is taken to be scaled by the same powers of its width.
    """
    if not (were_run(target) and source.graph):
        return {}
    mine, theirs = _norms_read_once(target), _norms_read_once(source)
    gains = {}
    for pair in matching.pairs:
        place = pair.target.place
        layer, partner = target.layers[place], source.layers[pair.source.place]
        free = place in mine and pair.source.place in theirs
        if layer.kind == partner.kind == "embedding" and (_as_head(layer) == _as_head(partner) or not were_run(source)):
            free = _is_read_alone(target, place)
        gain = _gain(pair, layer, partner if were_run(source) else None) if free else 1.0
        if not isclose(gain, 1.0, rel_tol=1e-6):
            gains[place] = gain
    for place, gain in [held for held in gains.items() if target.layers[held[0]].kind == "embedding"]:
        before = [target.graph[index].layer for head, index in tied_heads(target) if head == place]
        if any(norm < 0 or target.layers[norm].kind != "norm" for norm in before):
            del gains[place]
        else:
            gains |= {norm: gains.get(norm, 1.0) / gain for norm in before}
    return gains


def _norms_read_once(architecture: Architecture) -> set[int]:
    """Return the norms with a weight that feed one layer, and no output, and behind which nothing but scales stands."""
    graph, layers = architecture.graph, architecture.layers
    reads = zip(graph, architecture.readers, strict=True)
    found = {node.layer for node, read in reads if node.layer >= 0 and [graph[i].op for i in read] == ["layer"]}
    norms = {p for p in found if layers[p].attribute("norm") in ("layer", "rms") and layers[p].tensor("weight")}
    return {p for p in norms if {n[0] for n in layers[p].numbers} <= {*SCALES, EPSILON, OFFSET}}


def _gain(pair: Pair, layer: Layer, partner: Layer | None) -> float:
    """Return what stands first behind `partner` by what does behind `layer`; powers of the width alone without one."""
    if partner is None:
        m, n = ((unit.shape or (1,))[-1] for unit in (pair.target, pair.source))
        return float((n / m) ** width_power(_scales(layer), m))
    theirs, own = (prod(map(factor_of, _scales(held)), start=1.0) for held in (partner, layer))
    return theirs / (own or 1.0)


def _scales(layer: Layer) -> Iterator[Number]:
    """Yield the scales that stand first of all behind `layer`, where it does not serve as a head."""
    behind = takewhile(lambda number: number[0] != AS_HEAD, layer.numbers)
    return takewhile(lambda number: number[0] in SCALES, (n for n in behind if n[0] not in OF_THE_LAYER))


def _as_head(layer: Layer) -> list[Number]:
    """Return the numbers behind `layer` where it serves as a head."""
    return list(dropwhile(lambda number: number[0] != AS_HEAD, layer.numbers))


def _is_read_alone(architecture: Architecture, place: int) -> bool:
    """Tell whether all that is added to what the layer makes is made of it: no second table that is scaled with it."""
    made: set[int] = set()
    stream: set[int] = set()
    for index, node in enumerate(architecture.graph):
        inputs = set(node.inputs)
        if node.layer == place and not inputs & made:
            made.add(index)
            stream.add(index)
        elif inputs & made:
            if node.op == "add" and inputs & stream and not inputs <= made:
                return False
            made.add(index)
            if node.layer < 0 and inputs & stream:
                stream.add(index)
    return bool(made)
