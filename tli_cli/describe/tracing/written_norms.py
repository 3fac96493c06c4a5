"""Norms that code writes out: a value divided by its own deviation or length, and the weight that follows or precedes.

They are known by the operations that a value has been through since the last layer, activation or join. A value that is
divided by its length is that divided by the root of its mean square, and by the root of its width: only what is left of
this number, where code multiplies with another one, is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isclose, prod

import torch

from tli_cli.describe.tracing.norm_steps import FREE, steps_of_norm
from tli_cli.describe.tracing.numbers import are_places
from tli_cli.describe.tracing.operation_names import KEPT
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value
from tli_cli.noted import EPSILON, GROUPS, POOLED

ROOTS = {"rsqrt", "sqrt"}
SCALES = ("mul", "div")


def normalising(rec: Recording, name: str, tensors: Sequence[torch.Tensor], known: Sequence[Value]) -> Value:
    """Return a value that says which step of a written-out normalisation the result of `name` is."""
    live = [v for v in known if v.node >= 0]
    alone = len(live) == 1 and name in KEPT
    kept = alone or (len(live) == 1 and name in ROOTS)
    product = name in SCALES and len(live) == len(known)
    scaled = product and (any(v.rsqrt for v in live) or is_divided(name, live))
    weighed = any(v.node < 0 and v.names for v in known)  # by the norm's own weight, which comes last
    met = name in ("sub", "sub_") and len(live) == 2 and live[0].node == live[1].node
    centred = met and tensors[0].numel() > tensors[1].numel()
    own = frozenset[int]().union(*(v.own for v in live)) if kept else frozenset[int]()
    if centred or (alone and live[0].rsqrt and name in SCALES and rec.numbers):
        own |= {len(rec.numbers) - 1}
    own |= live[1].steps - live[0].steps if centred else frozenset()
    if scaled:
        scale = next((v for v in reversed(live) if v.rsqrt or v.root), live[-1])
        steps = steps_of_norm(next((v for v in live if v is not scale), scale), scale)
        scaled, own = steps is not None, (steps or frozenset()) | {len(rec.numbers) - 1}
    return Value(
        (),
        own=own,
        rsqrt=name == "rsqrt" or (alone and live[0].rsqrt and not weighed) or scaled,
        root=name == "sqrt" or (alone and live[0].root),
        centred=((kept or scaled) and live[0].centred) or centred,
        averaged=bool(live) and all(v.averaged for v in live),
    )


def is_divided(name: str, live: Sequence[Value]) -> bool:
    """Tell whether a value is divided by its own deviation or length."""
    return name == "div" and len(live) == 2 and live[1].root and not live[0].root


def weighed(rec: Recording, value: Value, fixed: Sequence[Value], names: tuple[str, ...], node: int) -> int:
    """Return the node of a norm: `value`, made by `node`, is normalised and meets its weight `fixed`, or `names`."""
    places = [rec.table.size(tree) for tree in value.dims if are_places(rec, tree)]
    made = rec.apply_layer(
        "norm", {"weight": names}, [node], norm="layer" if value.centred else "rms", positions=prod(places)
    )
    _settle(rec, rec.last, made, value, fixed)
    rec.numbers += [(rec.last, (POOLED,))] if value.averaged else []
    return made


def scaled_before(rec: Recording, name: str, live: Sequence[Value]) -> int:
    """Return the node of a scale that is a norm's: its weight is applied before the value is divided by its own
    deviation or length; -1 where nothing of the kind happens."""
    scale = next((v for v in reversed(live) if v.rsqrt or (v.root and name == "div")), None)
    scaled = next((v for v in live if v is not scale), None)
    index = rec.layer_behind(scaled.node) if scaled is not None else -1
    if scale is None or scaled is None or name not in SCALES or index < 0:
        return -1
    layer = rec.layers[index]
    within = layer.kind == "scale" and scale.node in rec.nodes[scaled.node].inputs
    if not within or steps_of_norm(replace(scaled, node=scale.node, chain=()), scale) is None:
        return -1
    layer.kind = "norm"
    layer.attributes["norm"] = "layer" if scaled.centred else "rms"
    dims = [rec.parameter_dims[name] for name in layer.roles if name in rec.parameter_dims]
    gain = scaled.gain * scale.gain if name == "mul" else scaled.gain / (scale.gain or 1.0)
    own, over = scale.steps | scaled.steps, scale.over | scaled.over
    made = replace(scale, own=own, over=over, gain=gain)
    _settle(rec, index, scaled.node, made, [Value(trees) for trees in dims])
    return scaled.node


def _settle(rec: Recording, layer: int, node: int, norm: Value, fixed: Sequence[Value]) -> None:
    """Note for a layer that is a norm what it averages over and adds, and forget its steps."""
    rec.forget(norm)
    channels = [tree for value in fixed for tree in value.dims if rec.table.size(tree) > 1]
    alone = rec.statistics.settle(norm.over, channels)  # each channel, as an instance norm does
    if alone or rec.statistics.are_over_places(norm.over):
        groups = prod(map(rec.table.size, channels)) if alone else 1
        rec.numbers.append((layer, (GROUPS, groups)))
        attributes = rec.layers[layer].attributes
        attributes["norm"] = "group" if attributes["norm"] == "layer" else attributes["norm"]
    rec.acting += [(layer, (EPSILON, norm.epsilon))] if norm.epsilon is not None else []
    if size := rec.statistics.size_of_length(norm.over):
        rec.forgotten.update(i for i in norm.own if rec.numbers[i][1][0] in SCALES)
        rec.lengths[node] = len(rec.numbers)
        rec.numbers.append((layer, ("mul", norm.gain / size**0.5)))
        _leave_out_one(rec, rec.lengths[node])


def note_scale(rec: Recording, name: str, live: Sequence[Value]) -> None:
    """Take the number by which code scales what a norm makes of a length into what is noted of that."""
    at = rec.lengths.get(live[0].node, -1) if len(live) == 1 and name in SCALES else -1
    if at < 0 or any(step not in FREE for step in live[0].chain) or rec.numbers[-1][1][0] != name:
        return
    (place, (_, before)), (_, (_, number)) = rec.numbers[at], rec.numbers[-1]
    rec.numbers[at] = place, ("mul", before * number if name == "mul" else before / number)
    rec.forgotten.discard(at)
    rec.forgotten.add(len(rec.numbers) - 1)
    _leave_out_one(rec, at)


def _leave_out_one(rec: Recording, at: int) -> None:
    if isclose(rec.numbers[at][1][1], 1.0, rel_tol=1e-6):
        rec.forgotten.add(at)
