"""Norms that are told by the layers whose channels they normalise, where their own names say nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tli_cli.architecture import LINEAR, Architecture
from tli_cli.matching.units import main_tensor
from tli_cli.matching.values import Matching
from tli_cli.planning.starts.norms import normalised_layers


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
    homes: dict[str, list[int]] = defaultdict(list)
    for place, layer in enumerate(architecture.layers):
        homes[layer.path.rpartition(".")[0]].append(place)
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
