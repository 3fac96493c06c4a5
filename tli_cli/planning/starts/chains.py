"""An added block that is a plain chain of layers: how it starts as the identity (Net2DeeperNet, arXiv 1511.05641)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.walks import walked
from tli_cli.matching.hashes import JOINS
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.units import Unit


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
