"""An architecture with layers in place of sums of branches, and of which sums that brings two closer to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, Architecture, Layer, Node
from tli_cli.branches.finding import branches_of
from tli_cli.branches.values import Branches
from tli_cli.catalogue.loading import without
from tli_cli.matching.bags import Bag, bag_of, overlap

ALIKE = 0.85
"""How much two networks must have in common for sums of branches in them to be the layers of the other one."""

Sums = tuple[Branches, ...]


def apart(first: Architecture, second: Architecture) -> tuple[Sums, Sums]:
    """Return the sums of branches of each that the other has not, where each as one layer makes the two more alike."""
    norms = [(side.graph, layer) for side in (first, second) for layer in side.layers if layer.tensor("running_var")]
    if not all(graph and norm.epsilon for graph, norm in norms):
        return (), ()  # nothing tells what they do
    if _forms(first) is _forms(second):
        return (), ()  # they could not be more alike
    known = overlap(_forms(first), _forms(second))
    (best, _), found = max((_lacked(first, second, around) for around in (False, True)), key=lambda made: made[0])
    return found if best > max(known, ALIKE) else ((), ())


def _lacked(first: Architecture, second: Architecture, around: bool) -> tuple[tuple[float, int], tuple[Sums, Sums]]:
    """Return the sums of branches of each, perhaps with what goes `around` all layers, that the other has not, behind
    how alike the two are with one layer for each, in layers and in sums."""
    mine, theirs = (branches_of(side, around) for side in (first, second))
    forms = [{branches.form() for branches in side} for side in (mine, theirs)]
    own = tuple(branches for branches in mine if branches.form() not in forms[1])
    other = tuple(branches for branches in theirs if branches.form() not in forms[0])
    layers = {*map(_form, merged(first, own).layers)}, {*map(_form, merged(second, other).layers)}
    own = tuple(branches for branches in own if _form(branches.layer) in layers[1])
    other = tuple(branches for branches in other if _form(branches.layer) in layers[0])
    whole = merged(first, own), merged(second, other)
    sums = [sum(node.op == "add" for node in side.graph) for side in whole]
    return (overlap(*map(_forms, whole)), -abs(sums[0] - sums[1])), (own, other)


def _form(layer: Layer) -> tuple[object, ...]:
    """Return all of a layer but its widths."""
    grouped = layer.attribute("groups", 1) > 1
    return layer.kind, layer.attribute("kernel"), grouped, *(role for role, _ in layer.tensors)


def _forms(architecture: Architecture) -> Bag:
    return bag_of(_form(layer) for layer in architecture.layers if layer.kind in (*LINEAR, "norm"))


def merged(architecture: Architecture, sums: Sequence[Branches]) -> Architecture:
    """Return `architecture` with one layer in place of each of `sums`."""
    if not sums:
        return architecture
    ones = {sum.weight.name: sum.layer for sum in sums}
    kept = {name for layer in ones.values() for _, name in layer.tensors}
    biases = [(sum.bias, architecture.axes.get(sum.weight.name, ())[:1]) for sum in sums if sum.bias]
    whole = replace(
        architecture,
        layers=tuple(ones.get(layer.tensor("weight") or "", layer) for layer in architecture.layers),
        tensors=(*architecture.tensors, *(spec for spec, _ in biases if spec.name not in architecture.by_name)),
        graph=_joined(architecture, sums),
        axes=architecture.axes | {spec.name: axes for spec, axes in biases if axes},
    )
    return without(whole, frozenset(name for sum in sums for name in sum.names - kept))


def _joined(architecture: Architecture, sums: Sequence[Branches]) -> tuple[Node, ...]:
    """Return the graph with one node for each of `sums`."""
    places = {layer.tensor("weight"): place for place, layer in enumerate(architecture.layers)}
    ends = {sum.nodes[-1]: Node("layer", (sum.root,), places[sum.weight.name]) for sum in sums}
    inner = {node for sum in sums for node in sum.nodes[:-1]}
    number: dict[int, int] = {}
    made: list[Node] = []
    for i, node in enumerate(architecture.graph):
        if i not in inner:
            number[i] = len(made)
            made.append(replace(held := ends.get(i, node), inputs=tuple(number[j] for j in held.inputs)))
    return tuple(made)
