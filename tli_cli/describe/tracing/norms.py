"""Norms that are one operation, and weights that are made of a direction and a length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.describe.tracing.applied import is_learned_input, positions, roles_of
from tli_cli.describe.tracing.elementwise import first_of
from tli_cli.describe.tracing.numbers import are_places
from tli_cli.describe.tracing.recording import Recording
from tli_cli.noted import EPSILON, GROUPS, POOLED


def _normalise(rec: Recording, x: Any, out: Any, kind: str, channel: int, epsilon: Any, **tensors: Any) -> None:
    value = rec.get(x)
    if value is None:
        return
    result = first_of(out)
    for tensor in tensors.values():
        if (v := rec.get(tensor)) is not None:
            for mine, other in zip(value.dims[channel : channel + len(v.dims)] or (), v.dims, strict=False):
                rec.table.unite(mine, other)
    roles = roles_of(rec, **tensors)
    if is_learned_input(rec, value, biased="bias" in roles):
        value = replace(value, node=rec.learned(value))
    if value.node < 0:
        names = value.names + tuple(n for group in roles.values() for n in group)
        rec.same_shape(value, result, names=names, standardised=True)
        return
    places = positions(rec, result, channel % result.ndim)
    attributes = {"norm": kind, "positions": places}
    node = rec.apply_layer("norm", roles, (value.node,), **attributes) if roles else rec.node("norm", (value.node,))
    if not roles:
        over = value.dims[channel:] if kind in ("layer", "rms") else value.dims[1 if kind == "group" else 2 :]
        rec.note(value, ("normed", kind == "rms", *sorted({are_places(rec, tree) for tree in over})))
    if not roles and (kind in ("layer", "rms") or (kind == "group" and places > 1)):
        rec.averaged += value.dims[channel:] if kind != "group" else value.dims[1:2]
    if roles and isinstance(epsilon, float):
        rec.numbers.append((rec.last, (EPSILON, epsilon)))
    if roles and value.averaged:
        rec.numbers.append((rec.last, (POOLED,)))
    rec.put(result, replace(value, node=node, averaged=False))


def batch_norm(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Normalise over the batch, channel by channel; without running statistics each channel is a group of its own."""
    statistics = {"running_mean": args[3], "running_var": args[4]} if len(args) > 4 else {}
    own = roles_of(rec, weight=args[1], bias=args[2])
    instance = bool(own) and not any(isinstance(tensor, torch.Tensor) for tensor in statistics.values())
    kind = "group" if instance else "batch"
    _normalise(rec, args[0], out, kind, 1, args[-1], weight=args[1], bias=args[2], **statistics)
    if instance and rec.get(args[0]) is not None:
        name = own["weight"][0] if "weight" in own else own["bias"][0]
        rec.numbers.append((rec.last, (GROUPS, rec.table.size(rec.parameter_dims[name][0]))))


def layer_norm(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Normalise over the last dimensions."""
    bias = args[3] if len(args) > 3 and isinstance(args[3], torch.Tensor) else None
    kind = "layer" if len(args) > 3 and not isinstance(args[3], float) else "rms"
    _normalise(rec, args[0], out, kind, args[0].ndim - len(args[1]), args[-1], weight=args[2], bias=bias)


def group_norm(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Normalise over groups of channels, which stay together from here on."""
    value, channels, groups = rec.get(args[0]), args[0].shape[1], int(args[6])
    if value is not None and 1 < groups < channels:
        rec.table.split_product(value.dims[1], [groups, channels // groups])
    _normalise(rec, args[0], out, "group", 1, args[-1], weight=args[1], bias=args[2])
    if value is not None and value.node >= 0 and not roles_of(rec, weight=args[1], bias=args[2]) and groups > 1:
        rec.note(value, ("normed", GROUPS, groups))
    if value is not None and roles_of(rec, weight=args[1], bias=args[2]):
        rec.numbers.append((rec.last, (GROUPS, groups)))


def weight_norm(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Make a weight of a direction and a length for each index of one axis (arXiv 1602.07868)."""
    direction, length = rec.get(args[0]), rec.get(args[1])
    if direction is None or length is None:
        return
    kept = args[2] if len(args) > 2 else 0
    rec.table.unite(direction.dims[kept], length.dims[kept])
    rec.same_shape(direction, first_of(out), names=direction.names + length.names, standardised=True)
