"""How an added block starts as the identity: which layers must be zero so that its residual branches add nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import prod

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.from_names.kinds import table_kind
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.describe.vocabulary import surroundings
from tli_cli.matching.segments import WEIGHTED, Block
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching
from tli_cli.noted import EPSILON, OFFSET, Number

BRANCH_ENDS = ("o", "fc2", "down")
NOT_ZERO = frozenset({
    "_log_softmax", "acos", "cos", "cosh", "eq", "erfc", "exp", "exp2", "ge", "hardsigmoid", "i0", "le",
    "log_sigmoid_forward", "logaddexp", "logaddexp2", "logcumsumexp", "logsumexp", "masked_fill", "reciprocal",
    "sigmoid", "sinc", "softmax", "softplus", "special_erfcx", "threshold",
})  # fmt: skip
"""Operations of the execution graph that do not give zero for zero."""
SCALING = ("mul", "div", "matmul", "bmm", "baddbmm")
"""Operations in which a constant gives zero for zero."""
NO_SHIFT = 1e-3
"""The largest number that may be added to nothing: norms that are written out add as much to a variance."""
ADDITIVE = ("bias", "position", "token", "embedding", "bias_table")
"""Kinds of layers that give something for nothing."""
ADDED = "added block starts as the identity"


def branch_ends(
    architecture: Architecture, units: Iterable[Unit], added: Collection[int] = (), passing: Collection[int] = ()
) -> set[int]:
    """Return the layers, by place, that end the residual branches of the block made of `units`, as the graph tells;
    none if it has none.

    `added` are the layers of other added blocks, such as the experts of a mixture, which may end the same branch, and
    `passing` ones that pass on what they take, through which a shortcut may run.
    """
    members = {unit.place for unit in units}
    ends: set[int] = set()
    begun = starts(architecture, passing)
    for node in architecture.graph:
        if node.op != "add" or len(node.inputs) < 2:
            continue
        later = [i for i in node.inputs if begun[i] > min(begun[j] for j in node.inputs)]
        ending = {i: silencers(architecture, i) for i in later}
        branches = [i for i in later if ending[i] & members and ending[i] <= members.union(added)]
        if not branches:
            continue
        branch = max(branches, key=lambda i: _nearest_layer(architecture, i))
        skip = max(_nearest_layer(architecture, i) for i in node.inputs if i != branch or node.inputs.count(i) > 1)
        silent, others = ending[branch], (i for i in node.inputs if i != branch)
        around = any(not silent.issuperset(silencers(architecture, i) or {-1}) for i in others)
        if around and architecture.graph[skip].layer not in members.difference(passing):  # else no end explains it
            ends |= silent & members
    return ends


def is_silenced(layer: Layer, role: str) -> bool:
    """Tell whether a tensor of a layer that is to give zero starts at zero: of a direction and a length the length
    alone, for a direction is divided by its own (arXiv 1602.07868)."""
    if layer.tensor(WITH_LENGTH) and role.partition(".")[0] == "weight":
        return role == WITH_LENGTH
    return role.partition(".")[0] in ("weight", "bias")


def starts(architecture: Architecture, passing: Collection[int] = ()) -> list[int]:
    """Return for each node the earliest layer among the terms of its sum, behind those that are `passing` on what they
    take: a trunk begins before what is added to it."""
    found: list[int] = []
    for index, node in enumerate(architecture.graph):
        if (node.op in ("layer", "cat", "input") and node.layer not in passing) or not node.inputs:
            found.append(index)
        else:
            found.append(min(found[i] for i in (node.inputs if node.op == "add" else node.inputs[:1])))
    return found


def silencers(architecture: Architecture, index: int) -> set[int]:
    """Return the fewest layers that must give zero so that node `index` is zero; empty where that does not suffice."""
    node = architecture.graph[index]
    if node.op == "layer":
        layer = architecture.layers[node.layer]
        if node.inputs and (layer.kind == "slope" or (layer.offset and not layer.tensor("bias"))):
            return silencers(architecture, node.inputs[0])
        return set() if layer.kind in ADDITIVE or layer.offset or is_lifted(layer) else {node.layer}
    found = [silencers(architecture, i) for i in node.inputs]
    if not found or node.op in NOT_ZERO:
        return set()
    if node.op in ("mul", "matmul"):
        return min((layers for layers in found if layers), key=len, default=set())
    return set[int]().union(*found) if all(found) else set()


def is_lifted(layer: Layer) -> bool:
    """Tell whether code behind a layer, up to the next one, is known to give something for nothing."""
    fixed = (number for number in layer.constants if number[0] not in (*SCALING, EPSILON, OFFSET))
    return any(map(_lifts, layer.numbers)) or any(any(number[3:]) for number in fixed)


def _lifts(number: Number) -> bool:
    """Tell whether an operation that is written in code does not give zero for zero, as far as is known."""
    name, values = number[0], [value for value in number[1:] if isinstance(value, (int, float))]
    if name in ("add", "sub", "rsub"):
        return any(abs(value) > NO_SHIFT for value in values)
    if name in ("index_fill", "scatter"):
        return bool(values) and values[-1] != 0
    if name in ("clamp", "hardtanh"):  # of one bound it is not known which it is
        return max(values, default=0) * min(values, default=0) > 0
    if name in ("maximum", "minimum", "pow"):
        return any(value <= 0 if name == "pow" else value != 0 for value in values)
    return name == "log" or name in NOT_ZERO


def surplus_scales(matching: Matching, blocks: Iterable[Block], target: Architecture) -> list[int]:
    """Return the channel scales of blocks whose weighted layers all have a partner of their own form, in blocks that
    have no scale left over, and which have none, by their places; what a constructor works out, such as frequencies, is
    no scale, nor what adds as well, nor, where no graph tells, a vector that is not called one."""
    pairs = matching.by_target
    used = {pair.source.key for pair in matching.pairs}
    left = {unit.home for unit in matching.sources if unit.kind == "scale" and unit.key not in used}

    def is_fed(unit: Unit) -> bool:
        pair = pairs.get(unit.key)
        if pair is None or pair.repeat or pair.source.home in left:
            return False
        return pair.source.form_label == unit.form_label

    weighted = [(block, [is_fed(unit) for unit in block.units if unit.kind in WEIGHTED]) for block in blocks]
    alike = [block for block, fed in weighted if fed and all(fed)]
    fixed = {spec.name for spec in target.tensors if spec.buffer}
    scales = (u for block in alike for u in block.units if u.kind == "scale" and len(u.shape) == 1)
    told = (unit for unit in scales if target.graph or table_kind(unit.path.rpartition(".")[2]) == "scale")
    alone = (unit for unit in told if {role for role, _ in target.layers[unit.place].tensors} == {"weight"})
    unfed = (unit.place for unit in alone if unit.key not in pairs)
    return [place for place in unfed if fixed.isdisjoint(name for _, name in target.layers[place].tensors)]


def _nearest_layer(architecture: Architecture, index: int) -> int:
    """Return the node of the layer that reaches `index` through activations and gates; a join stands for itself."""
    node = architecture.graph[index]
    if node.op in ("layer", "add", "cat", "input") or not node.inputs:
        return index
    return _nearest_layer(architecture, node.inputs[0])


def ends_by_name(units: Collection[Unit], blocks: Iterable[Block]) -> set[int]:
    """Return the layers, by place, that end the branches of the block made of `units`, as names and shapes tell; none
    where none of the network's `blocks` is seen to have a branch."""
    named = {unit.place for unit in units if unit.role.removeprefix("cross_") in BRANCH_ENDS}
    if named or not any(map(_has_branch, blocks)):
        return named
    body = [unit for unit in units if unit.role != "downsample"]
    norms = [unit.place for unit in body if unit.kind == "norm" and unit.flavour == "batch"]
    weighted = [unit for unit in body if unit.kind in WEIGHTED]
    taken = {unit.shape[-1] for unit in weighted[:1]}  # what ends a branch gives as much as the block takes
    ends = [unit.place for unit in weighted if unit.shape[0] in taken] or [unit.place for unit in weighted]
    return set((norms or ends)[-1:])


def _has_branch(block: Block) -> bool:
    """Tell whether a block is likely to add to what it takes: it has two maps over channels, beside those that weigh
    channels, or a shortcut. What plain chains repeat has one map, and is silent with zeros in its place."""
    weighted = (unit for unit in block.units if unit.kind in WEIGHTED and len(unit.shape) > 1)
    maps = (unit for unit in weighted if unit.shape[1] > prod(unit.kernel))
    mixing = [unit for unit in maps if not any(surroundings(part) == "se" for part in unit.path.split("."))]
    return len({unit.place for unit in mixing}) > 1 or any(unit.role == "downsample" for unit in block.units)
