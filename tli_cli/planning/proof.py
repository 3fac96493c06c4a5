"""Whether added blocks leave what they stand in as it was: what goes into each layer, the silent layers left out, is
held against what goes into its partner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping

from tli_cli.architecture import Architecture, Layer, Node
from tli_cli.planning.activations import IDEMPOTENT
from tli_cli.planning.identity import NOT_ZERO

ZERO, NOTHING, OWN = "zero", "nothing", "own"
"""What a value is: zero everywhere, channels that are read with zero weight, or made by a layer with no partner."""

Expression = Hashable
Made = Callable[[int], Expression | None]
"""Give what a layer, by its place, makes; None if it passes on what it takes."""


def unlike_inputs(
    target: Architecture,
    source: Architecture,
    partners: Mapping[int, int],
    silent: Collection[int],
    passing: Collection[int],
    unread: Collection[int],
    added: Collection[int],
) -> set[int]:
    """Return the layers of the target that take something else than their partners in the source, by their places.

    `partners` gives the source's layer for each of the target's, `silent` layers give zero, `passing` ones what they
    take, what the layers `unread` make is read with zero weight, and those `added` are copies of others.
    """

    def made(place: int) -> Expression | None:
        if place in silent:
            return ZERO
        if place in unread:
            return NOTHING
        if place in passing:
            return None
        return ("layer", partners[place]) if place in partners else ("copy" if place in added else OWN, place)

    mine = _taken(target, made)
    theirs = _taken(source, lambda place: ("layer", place))
    compared = {place: theirs.get(partner) for place, partner in partners.items() if place in mine}
    return {
        place
        for place, taken in compared.items()
        if taken is not None and not taken & mine[place] and not any(map(_is_own, mine[place]))
    }


def _taken(architecture: Architecture, made: Made) -> dict[int, set[Expression]]:
    """Return for each layer what it takes, each time that it is run."""
    values: list[Expression] = []
    found: dict[int, set[Expression]] = {}
    for node in architecture.graph:
        before = [values[i] for i in node.inputs]
        if node.layer >= 0:
            taken = _join("add", before) if before else ()
            found.setdefault(node.layer, set()).add(taken)
            own = ZERO if taken == ZERO and _keeps_zero(architecture.layers[node.layer]) else made(node.layer)
            values.append(taken if own is None else own)
        else:
            values.append(_value(node, before))
    return found


def _keeps_zero(layer: Layer) -> bool:
    """Tell whether a layer makes zero of zero."""
    roles = {role.partition(".")[0] for role, _ in layer.tensors}
    return layer.kind in ("conv", "linear", "norm", "scale") and roles == {"weight"}


def _value(node: Node, before: list[Expression]) -> Expression:
    if node.op == "cat":
        parts = dict.fromkeys(part for value in before for part in _terms("cat", value) if part != NOTHING)
        return next(iter(parts)) if len(parts) == 1 else ("cat", *parts)
    if node.op == "add":
        return _join("add", before)
    if node.op in ("mul", "matmul") and ZERO in before:
        return ZERO
    if node.op == "mul":
        return _join("mul", before)
    if node.op not in NOT_ZERO and all(value == ZERO for value in before):
        return ZERO
    if node.op in IDEMPOTENT and isinstance(before[0], tuple) and before[0][:1] == (node.op,):
        return before[0]
    return (node.op, node.index, *before)


def _join(op: str, values: list[Expression]) -> Expression:
    """Return a sum or product of `values` in one order, those of its own kind taken apart and zeros left out."""
    flat = [term for value in values for term in _terms(op, value)]
    kept = sorted((value for value in flat if op != "add" or value != ZERO), key=hash)
    return ZERO if not kept else kept[0] if len(kept) == 1 else (op, *kept)


def _terms(op: str, value: Expression) -> tuple[Expression, ...]:
    return value[1:] if isinstance(value, tuple) and value[:1] == (op,) else (value,)


def _is_own(expression: Expression) -> bool:
    """Tell whether a layer without a partner has a share in `expression`."""
    return isinstance(expression, tuple) and (expression[:1] == (OWN,) or any(map(_is_own, expression)))
