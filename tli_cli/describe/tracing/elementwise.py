"""How operations that work index by index couple axes, and what is done with operations that are not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.meta import tensors_in
from tli_cli.describe.tracing.numbers import constants_among, keeps_size, note_constants
from tli_cli.describe.tracing.operation_names import ADDITIONS, FACTORIES, FIXED_NAMES, PLAIN, SAME_NUMBERS, SILENT
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value, are_addends
from tli_cli.describe.tracing.written_norms import is_divided, normalising, note_scale, scaled_before, weighed
from tli_cli.noted import OWN

POWERS = {0.5: "sqrt", -0.5: "rsqrt"}
STATISTICS = {"running_mean", "running_var"}
MEASURES = ("mean", "linalg_vector_norm", "var", "var_mean", "std", "std_mean")


def first_of(out: Any) -> Any:
    """Return the result itself, or the first of several."""
    return out[0] if isinstance(out, (list, tuple)) else out


def elementwise(rec: Recording, name: str, tensors: Sequence[torch.Tensor], out: torch.Tensor) -> None:
    """Combine tensors index by index: equal dimensions are coupled; a parameter among them makes a layer."""
    known = [v for v in map(rec.get, tensors) if v is not None]
    dims: list[AxisTree] = [rec.fresh(s) for s in out.shape] if len(known) != 1 else list(known[0].dims)
    if len(known) > 1 or [rec.table.size(tree) for tree in dims] != list(out.shape):
        dims = _broadcast(rec, tensors, out)
    origins = tuple(
        frozenset().union(*(v.origin(d - out.ndim + len(v.dims)) for v in known if d >= out.ndim - len(v.dims)))
        for d in range(out.ndim)
    )
    live = [v for v in known if v.node >= 0]
    masked = any(v.masked for v in known) or bool(constants_among(rec, tensors))
    if not live:
        names = tuple(dict.fromkeys(n for v in known for n in v.names))
        standardised = any(v.standardised for v in known)
        addends = (name in ADDITIONS and are_addends(known)) or (len(known) == 1 and known[0].addends)
        expanded = any(v.expanded for v in known)
        made = Value(tuple(dims), -1, names, origins, standardised=standardised, expanded=expanded, addends=addends)
        rec.put(out, replace(made, masked=masked))
        if len({id(tensor) for tensor in tensors}) == 1 and names:
            note_bent(rec, name if len(tensors) == 1 else "pow")
        return
    node = _combine(rec, name, known, live, out)
    note_constants(rec, tensors, out)
    directions = name == "mul" and len(live) == 2 and all(v.rsqrt for v in live)
    alike = directions or (name == "mul" and all(rec.table.size(t) == 1 for v in known if v.node < 0 for t in v.dims))
    over = frozenset[int]().union(*(v.over for v in live if v.node == node or alike))
    gain = live[0].gain if live[0].node == node else 1.0
    made = normalising(rec, name, tensors, known)
    rsqrt = made.rsqrt or (alike and len(live) == 1 and live[0].rsqrt)
    made = replace(made, dims=tuple(dims), node=node, masked=masked, over=over, gain=gain, rsqrt=rsqrt)
    rec.put(out, replace(made, picks=known[0].picks if name in SAME_NUMBERS else None))


def note_bent(rec: Recording, name: str) -> None:
    """Note that an activation, or a power, acts on a parameter before a layer uses it."""
    said = FIXED_NAMES.get(name, name).rstrip("_")
    if said not in SILENT - {"pow"} and said not in PLAIN and name not in ("rsqrt", "clamp"):
        rec.numbers.append((rec.last, ("bent", said)))


def _broadcast(rec: Recording, tensors: Sequence[torch.Tensor], out: torch.Tensor) -> list[AxisTree]:
    dims: list[AxisTree] = []
    for d, size in enumerate(out.shape):
        candidates: list[AxisTree] = []
        for tensor in tensors:
            value, at = rec.get(tensor), d - (out.ndim - tensor.ndim)
            if value is not None and at >= 0 and tensor.shape[at] == size:
                candidates.append(value.dims[at])
        for other in candidates[1:]:
            rec.table.unite(candidates[0], other)
        dims.append(candidates[0] if candidates else rec.fresh(size))
    return dims


def _combine(rec: Recording, name: str, known: Sequence[Value], live: Sequence[Value], out: torch.Tensor) -> int:
    nodes = list(dict.fromkeys(v.node for v in live))
    family = name.rstrip("_")
    if len(live) > 1:
        join = {"sub": "add", "add": "add", "mul": "mul", "div": "mul", "rsub": "add"}.get(family, family)
        if (scaled := scaled_before(rec, name, live)) >= 0:
            return scaled
        if is_divided(name, live) and live[0].centred:
            return live[0].node
        if len(nodes) == 1:
            averaged = any(v.averaged or rec.statistics.are_over_places(v.over) for v in live)
            rec.edges.meet(rec.note(live[0], (OWN, family, *(["places"] if averaged else []))), live)
            return nodes[0]
        node = rec.node(join, nodes)
        if family in ("sub", "rsub", "div") and all(rec.nodes[i].op != "part" for i in nodes):
            turned = live[family != "rsub"]
            number = rec.note(turned, ("divides" if family == "div" else family,))
            rec.edges.add(node, nodes.index(turned.node), [number])
        return node
    fixed = [v for v in known if v.node < 0 and v.names]
    if fixed:
        names = tuple(dict.fromkeys(n for v in fixed for n in v.names))
        statistics = {name: name.rpartition(".")[2] for name in names}
        if STATISTICS.intersection(statistics.values()):
            return rec.apply_layer("norm", {role: (name,) for name, role in statistics.items()}, nodes, norm="batch")
        if live[0].rsqrt and family == "mul" and any(rec.table.size(t) > 1 for v in fixed for t in v.dims):
            return weighed(rec, live[0], fixed, names, nodes[0])
        added = "position" if _is_placed(rec, fixed) else "bias"
        kind = "scale" if family in ("mul", "div") else "slope" if "prelu" in family else added
        attributes = {"relative": True} if rec.relative.issuperset(names) else {}
        attributes |= {"standardised": True} if kind == "scale" and _is_measured(rec, names) else {}
        apart = name in ADDITIONS and all(len(v.names) == 1 or v.addends for v in fixed)
        for group in [(name,) for name in names] if apart else [names]:
            nodes = [rec.apply_layer(kind, {"weight" if kind != "bias" else "bias": group}, nodes, **attributes)]
        return nodes[0]
    note_scale(rec, name, live)
    if name in SILENT or name in ("rsqrt", "sqrt", "clamp", "where"):
        return nodes[0]
    return rec.node(FIXED_NAMES.get(name, name), nodes)


def _is_measured(rec: Recording, names: Sequence[str]) -> bool:
    """Tell whether parameters were held against their own length or mean before they are used."""
    return any(step.partition(" ")[0] in MEASURES for name in names for step in rec.worked[name])


def _is_placed(rec: Recording, values: Sequence[Value]) -> bool:
    """Tell whether a value that is added differs from place to place, so that it is no bias."""
    return "grid" in rec.table.kinds(*(tree for v in values for tree in v.dims if rec.table.size(tree) > 1))


def shape_preserving(
    rec: Recording, value: Value | None, out: Any, name: str = "", nodes: tuple[int, ...] = ()
) -> None:
    """Keep the dimensions that keep their size; the others are fresh. All of `nodes` go into what `name` makes."""
    if value is None:
        return
    node = value.node
    if name and node >= 0 and name not in SILENT:
        node = rec.node(FIXED_NAMES.get(name, name), nodes or (node,))
    for tensor in tensors_in([out]):
        same = tensor.ndim == len(value.dims)
        dims = tuple(
            value.dims[d] if same and rec.table.size(value.dims[d]) == size else rec.fresh(size)
            for d, size in enumerate(tensor.shape)
        )
        origins = value.origins if same else ()
        made = Value(dims, node, value.names, origins, standardised=value.standardised, masked=value.masked)
        rec.put(tensor, replace(made, averaged=value.averaged, in_mean=value.in_mean))


def anything(rec: Recording, name: str, args: Sequence[Any], out: Any) -> None:
    """Handle every other operation by shapes: equal or broadcast shapes index by index, else what keeps its size."""
    tensors = tensors_in(args)
    known = [t for t in tensors if rec.get(t) is not None]
    if not known or name in FACTORIES:
        return
    result = first_of(out)
    if not isinstance(result, torch.Tensor):
        return
    if name == "addcmul":
        _add_product(rec, args, result)
        return
    pooled = name.startswith("_adaptive_avg_pool") and result.shape == known[0].shape
    if (pooled or keeps_size(name, args, result)) and (same := rec.get(known[0])):
        rec.put(result, same)  # to the size that it has
        return
    power: Any = args[1] if name == "pow" and not isinstance(args[1], torch.Tensor) else None
    name = POWERS.get(power, name)
    if power == 2 or (name == "mul" and len(tensors) == 2 and tensors[0] is tensors[1]):
        rec.note_square(result)
    single = not isinstance(out, (list, tuple))
    if single and _broadcasts(tensors, result):
        elementwise(rec, name, tensors, result)
        return
    live = [v for v in map(rec.get, known) if v is not None and v.node >= 0]
    if name.startswith("upsample") and (resampled := rec.get(known[0])):
        for tree in resampled.dims[2:]:
            rec.table.mark(tree, "grid")
    shape_preserving(rec, live[0] if live else rec.get(known[0]), out, name, tuple(dict.fromkeys(v.node for v in live)))
    made = rec.get(result)
    rec.coded += [tree for v in live for tree in v.dims if made is not None and tree not in made.dims]
    if name == "topk" and live and (numbered := rec.get(out[1])) is not None:
        dim = args[2] if len(args) > 2 and isinstance(args[2], int) else -1
        rec.put(out[1], replace(numbered, picks=live[0].dims[dim]))


def _add_product(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Add the product of two tensors: a multiplication and then an addition, as others write it."""
    product = torch.empty(torch.broadcast_shapes(args[1].shape, args[2].shape), device="meta")  # type: ignore[no-untyped-call]
    elementwise(rec, "mul", args[1:3], product)
    elementwise(rec, "add", (args[0], product), out)


def _broadcasts(tensors: Sequence[torch.Tensor], out: torch.Tensor) -> bool:
    try:
        return bool(torch.broadcast_shapes(*(t.shape for t in tensors)) == out.shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False
