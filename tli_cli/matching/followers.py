"""What acts on what a layer makes, a norm or a learned scale: by the graph, or by the order of definition and by
roles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.grouping import grouped
from tli_cli.matching.units import main_tensor
from tli_cli.matching.values import Matching

ENDS = {"gamma1": "o", "gamma2": "fc2", "gamma": "fc2"}
"""By the role of a scale that of the layer in its block which it acts on, where names are all that is known."""


def scaled_layers(architecture: Architecture) -> dict[int, int]:
    """Return for each linear map that only a scale reads the place of that scale."""
    if not architecture.graph:
        return _by_role(architecture)
    graph, layers = architecture.graph, architecture.layers
    read: dict[int, set[int]] = defaultdict(set)
    for node, kind, readers in zip(graph, architecture.kinds, architecture.readers, strict=True):
        if kind in LINEAR:
            read[node.layer].update(graph[i].layer if len(graph[i].inputs) == 1 else -1 for i in readers)
    alone = ((linear, max(behind)) for linear, behind in read.items() if len(behind) == 1)
    return {linear: scale for linear, scale in alone if scale >= 0 and layers[scale].kind == "scale"}


def _by_role(architecture: Architecture) -> dict[int, int]:
    layers = architecture.layers
    places = grouped(range(len(layers)), lambda i: (layers[i].block, _role(layers[i])))
    sides = ((places.get((block, ENDS[role]), []), held) for (block, role), held in places.items() if role in ENDS)
    return {ends[0]: scales[0] for ends, scales in sides if len(ends) == len(scales) == 1}


def _role(layer: Layer) -> str:
    role = canonical_role(layer.path)
    return role if (role in ENDS) == (layer.kind == "scale") else ""


def normalised_layers(architecture: Architecture) -> dict[int, int]:
    """Return for each norm that normalises the output of one linear map alone the index of that map."""
    if not architecture.graph:
        return _by_order(architecture)
    found: dict[int, int] = {}
    for node in architecture.graph:
        if node.op != "layer" or architecture.layers[node.layer].kind != "norm" or not node.inputs:
            continue
        before = architecture.graph[node.inputs[0]]
        if before.op == "layer" and architecture.layers[before.layer].kind in LINEAR:
            found[node.layer] = before.layer
    return found


def _by_order(architecture: Architecture) -> dict[int, int]:
    """Without a graph: a norm normalises the linear map defined just before it, if that makes as many channels; of
    batch norms defined behind as many maps, each its own."""
    layers = architecture.layers
    found: dict[int, int] = {}
    for index, (before, layer) in enumerate(pairwise(layers)):
        if layer.kind != "norm" or before.kind not in LINEAR:
            continue
        pairs = [(index, index + 1)]
        if architecture.order_from != "inferred" and layer.tensor("running_var"):
            maps, norms = (
                _run(layers, range(index, -1, -1), LINEAR),
                _run(layers, range(index + 1, len(layers)), ("norm",)),
            )
            rows = list(zip(maps[::-1], norms, strict=False)) if len(maps) == len(norms) else []
            pairs = rows if rows and all(_are_as_wide(architecture, *pair) for pair in rows) else pairs
        found |= {norm: linear for linear, norm in pairs if _are_as_wide(architecture, linear, norm)}
    return found


def _run(layers: Sequence[Layer], places: Iterable[int], kinds: Collection[str]) -> list[int]:
    """Return the first of `places` as long as the layers there are of `kinds`, in one block."""
    found: list[int] = []
    for place in places:
        if layers[place].kind not in kinds or (found and layers[place].block != layers[found[0]].block):
            break
        found.append(place)
    return found


def _are_as_wide(architecture: Architecture, linear: int, norm: int) -> bool:
    widths = [_width(architecture, architecture.layers[place]) for place in (linear, norm)]
    return widths[0] == widths[1]


def _width(architecture: Architecture, layer: Layer) -> int:
    name = main_tensor(layer)
    return next(iter(architecture.by_name[name].shape), 0) if name else 0


def told_by_makers(matching: Matching, target: Architecture, source: Architecture) -> set[int]:
    """Return the target's norms, by place, that both sides show to stand behind one pair of layers."""
    mine, theirs = _makers(target), _makers(source)
    partners = {pair.target.place: pair.source.place for pair in matching.pairs if not pair.repeat}
    norms = {p.target.place: p.source.place for p in matching.pairs if p.target.kind == "norm"}
    return {t for t, s in norms.items() if t in mine and s in theirs and partners.get(mine[t]) == theirs[s]}


def _makers(architecture: Architecture) -> Mapping[int, int]:
    """Return for each norm the layer before it, as the graph, the order of definition or, where that is lost, a module
    that holds the two alone tells."""
    if architecture.graph or architecture.order_from != "inferred":
        return normalised_layers(architecture)
    homes = grouped(range(len(architecture.layers)), lambda i: architecture.layers[i].path.rpartition(".")[0])
    couples = [sorted(home, key=lambda i: architecture.layers[i].kind == "norm") for home in homes.values()]
    found = {norm: linear for linear, norm in (c for c in couples if len(c) == 2) if _are(architecture, linear, norm)}
    sides = {_side(architecture, linear, norm) for norm, linear in found.items()} - {0}
    return found if sides == {1} else {}


def _are(architecture: Architecture, linear: int, norm: int) -> bool:
    layers = architecture.layers
    return layers[linear].kind in LINEAR and layers[norm].kind == "norm"


def _side(architecture: Architecture, linear: int, norm: int) -> int:
    """Return 1 for a norm as wide as what the layer makes, -1 as what it takes, 0 where widths do not tell."""
    layer, names = architecture.layers[linear], [main_tensor(architecture.layers[place]) for place in (linear, norm)]
    (made, taken, *_), (width, *_) = (architecture.by_name[name or ""].shape for name in names)
    if made == taken or layer.attribute("groups", 1) > 1 or layer.attribute("transposed"):
        return 0
    return (width == made) - (width == taken)
