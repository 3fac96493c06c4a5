"""What embeddings make up for: another number that the code multiplies them with, such as the root of the width."""

from __future__ import annotations

from itertools import takewhile
from math import isclose, prod

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.values import Matching
from tli_cli.planning.numbers import SCALES, factor_of, were_run


def embedding_gains(target: Architecture, source: Architecture, matching: Matching) -> dict[int, float]:
    """Return by what the weights of layers of `target` must be multiplied so that what goes on from its embeddings is
    what goes on in `source`.

    A head that is the table of an embedding gives that much more, which the norm before it takes back.
    """
    if not were_run(target, source):
        return {}
    gains = {}
    for pair in matching.pairs:
        layer, partner = target.layers[pair.target.place], source.layers[pair.source.place]
        scaled_late = layer.attribute("scaled_as_head") or partner.attribute("scaled_as_head")
        if layer.kind == partner.kind == "embedding" and not scaled_late and _is_read_alone(target, pair.target.place):
            gain = _scale(partner) / (_scale(layer) or 1.0)
            if not isclose(gain, 1.0, rel_tol=1e-6):
                gains[pair.target.place] = gain
    for place, gain in list(gains.items()):
        before = _before_head(target, place)
        if any(target.layers[norm].kind != "norm" for norm in before):
            del gains[place]
        else:
            gains |= dict.fromkeys(before, 1.0 / gain)
    return gains


def _scale(layer: Layer) -> float:
    """Return what the code multiplies with first of all after `layer`."""
    return prod(map(factor_of, takewhile(lambda number: number[0] in SCALES, layer.numbers)), start=1.0)


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


def _before_head(architecture: Architecture, place: int) -> list[int]:
    """Return the layers before the heads that are the table of the embedding at `place`."""
    graph = architecture.graph
    inputs = [graph[node.inputs[0]] for node in graph if node.layer == place and node.inputs]
    return [before.layer for before in inputs if before.op != "input"]
