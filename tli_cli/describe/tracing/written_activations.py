"""One node of the graph for an activation that code writes out by simpler operations, as for one that torch has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from tli_cli.describe.tracing.curves import Curve, Given, activation, curves_made, is_followed
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def curves_given(rec: Recording, func: Any, given: Sequence[torch.Tensor]) -> Given:
    """Return what the tensors `given` are functions of, before `func` may write to them; nothing if it is of no kind
    that is followed, or takes parameters or unknown tensors too."""
    if not is_followed(func):
        return {}
    values = {id(t): (t, rec.get(t)) for t in given if rec.get(t) is not None or t.ndim or rec.constants.of(t) is None}
    if any(value is None or value.node < 0 for _, value in values.values()):
        return {}
    return {key: rec.curves.of(t, value) for key, (t, value) in values.items() if value is not None}


def note_curve(
    rec: Recording, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], given: Given, out: Any, noted: range
) -> None:
    """Follow what `func` makes of `given`, and put one node in the place of an activation that is written out.

    `noted` are the numbers that were noted of it.
    """
    name = func._overloadpacket.__name__
    if name.endswith("_") and isinstance(out, torch.Tensor):
        rec.curves.written(out)
    value = rec.get(out)
    if not given or value is None or value.node < 0:
        return
    tensors = [t for t in tree_flatten((args, dict(kwargs)))[0] if isinstance(t, torch.Tensor) and id(t) not in given]
    numbers = {id(t): known for t in tensors if (known := rec.constants.of(t)) is not None}
    made = curves_made(func, args, kwargs, given, numbers, noted)
    for root in sorted(made, key=lambda root: -made[root].length):
        if (found := activation(made[root])) and rec.nodes[value.node].op != found[0]:
            value = _as_one(rec, found, rec.curves.root(root), value, made[root])
            rec.put(out, value)
            made = {at: curve for at, curve in made.items() if at != root} | {root: replace(made[root], length=1)}
            break
    rec.curves.put(out, value, made)


def _as_one(rec: Recording, found: tuple[Any, ...], root: Value, value: Value, curve: Curve) -> Value:
    """Return `value` as what one node makes of `root`, with the numbers of that in the place of those of `curve`."""
    rec.forgotten.update(curve.numbers)
    if len(found) > 1 or found[0] == "gelu":
        rec.note(root, found)
    node = rec.node(found[0], (root.node,))
    rec.edges.add(node, 0, root.steps)
    return replace(value, node=node, chain=(), steps=frozenset(), own=frozenset())
