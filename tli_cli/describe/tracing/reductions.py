"""How sums, means and deviations over some dimensions couple the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.elementwise import anything, first_of
from tli_cli.describe.tracing.numbers import note_numbers, note_windows
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.statistics import LENGTH, MEAN, OTHER
from tli_cli.describe.tracing.values import NOWHERE, Origin, Value
from tli_cli.noted import PICKED, REDUCED


def reduce_(rec: Recording, args: Sequence[Any], out: Any, *, name: str = "") -> None:
    """Reduce some dimensions, by `name` to what is noted, unless that is told otherwise."""
    value = rec.get(args[0])
    if value is None:
        return
    reduced = _reduced(args)
    pairs = [(value.dims[d] if d not in reduced else rec.fresh(1), d) for d in range(args[0].ndim)]
    summed = value.standardised or (value.node < 0 and bool(value.names))
    _note_beside(rec, value, reduced)
    if name and value.node >= 0:
        _note_reduced(rec, value, [value.dims[d] for d in reduced], name)
    for result in out if isinstance(out, (list, tuple)) else [out]:
        keep = result.ndim == args[0].ndim
        dims = tuple(tree for tree, d in pairs if keep or d not in reduced)
        if result.is_floating_point() or result is first_of(out):
            rec.put(result, replace(value, dims=dims, origins=(), standardised=summed))


def _reduced(args: Sequence[Any]) -> set[int]:
    """Return the dimensions that an operation with `args` reduces: all where none is named."""
    where = next((a for a in args[1:] if isinstance(a, (list, tuple))), None)
    if where is None:
        where = [a for a in args[1:2] if isinstance(a, int) and not isinstance(a, bool)]
    return {d % max(args[0].ndim, 1) for d in where} if where else set(range(args[0].ndim))


def _note_reduced(rec: Recording, value: Value, trees: Sequence[AxisTree], name: str) -> None:
    """Note what several channels, or places, become; not what is usual, a sum of channels or a mean of places, nor what
    has a node of its own, the largest of places, or is a sum of weighed places."""
    kinds = {rec.table.kind(leaf) for leaf in rec.table.leaves(*trees) if rec.table.size(leaf) > 1}
    weighed = name == "sum" and rec.nodes[value.node].op == "mul"
    if "channels" in kinds and name in ("max", "min", "size"):
        rec.extremes.append((rec.maker(value), tuple(trees)))
    if "channels" in kinds and name != "sum":
        rec.note(value, (REDUCED, name, "channels"))
    if "grid" in kinds and name not in ("mean", "max") and not weighed:
        rec.note(value, (REDUCED, name, "places"))


def maximum(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Take the largest over some dimensions; over places that is a pool."""
    reduce_(rec, args, out, name="max")
    value, result = rec.get(args[0]), rec.get(first_of(out))
    if value is None or result is None or value.node < 0:
        return
    if _shrinks_places(rec, value, result):
        rec.put(first_of(out), replace(result, node=rec.node("max_pool", (value.node,))))


def mean_(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Average over some dimensions; over channels, their copies have to be as many of each."""
    _measure(rec, args, out, MEAN, "mean")
    value, result = rec.get(args[0]), rec.get(out)
    if value is not None and result is not None and _shrinks_places(rec, value, result):
        rec.put(first_of(out), replace(result, averaged=True, in_mean=value.steps))


def average_pool(rec: Recording, args: Sequence[Any], out: Any, *, name: str) -> None:
    """Average over windows; over one that holds all places, as others write a mean over these."""
    window, around = tuple(args[1]), args[3] if len(args) > 3 else (0,)
    if tuple(args[0].shape[-len(window) :]) == window and not any(around):
        mean_(rec, (args[0], list(range(-len(window), 0)), True), out)
        return
    if {*window, *(args[2] if len(args) > 2 else ())} == {1} and (value := rec.get(args[0])) is not None:
        rec.same_shape(value, out)  # each place for itself
        return
    note_numbers(rec, name, args, {}, out)
    note_windows(rec, name, args)
    anything(rec, name, args, out)


def _note_beside(rec: Recording, value: Value, reduced: Collection[int]) -> None:
    """Note how many places, such as those of class tokens, are not among those that are reduced."""
    if value.node >= 0 and value.beside and value.beside[0] in {d - len(value.dims) for d in reduced}:
        rec.note(value, (PICKED, "all but", *value.beside[1:]))


def _shrinks_places(rec: Recording, before: Value, after: Value) -> bool:
    """Tell whether a value of several places became one of fewer."""
    mine, theirs = ({*rec.table.leaves(*v.dims)} for v in (before, after))
    return any(rec.table.kind(leaf) == "grid" and rec.table.size(leaf) > 1 for leaf in mine - theirs)


def sum_(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Add up some dimensions; of squares, that is the square of a length."""
    value = rec.get(args[0])
    if rec.is_square(args[0]):
        _measure(rec, args, out, LENGTH, "length")
        return
    if value is not None and value.node >= 0:
        weights = {d: _weights(rec, value, d) for d in _reduced(args)}
        if weighed := {value.dims[d]: axes for d, axes in weights.items() if axes}:
            rec.weighed_sums.append((args[0], weighed))
        trees = [value.dims[d] for d, axes in weights.items() if not axes]
        of_lengths = len(value.over) > 1 and rec.statistics.meet([value.over], trees)
        rec.dotted += [] if of_lengths else trees
        rec.note_dot(value.node, trees)
    reduce_(rec, args, out, name="sum")


def _weights(rec: Recording, value: Value, dim: int) -> Origin:
    """Return the axes of weights of their own that the indices of a dimension were just multiplied by, so that their
    sum is what a linear layer makes, if nothing else is made of these products; none if they were not."""
    index = rec.layer_behind(value.node)
    if index < 0 or rec.layers[index].kind != "scale":
        return NOWHERE
    tree = rec.table.resolve(value.dims[dim])
    names = [name for name, role in rec.layers[index].roles.items() if role == "weight"]
    return frozenset(
        (n, d) for n in names for d, own in enumerate(rec.parameter_dims[n]) if rec.table.resolve(own) == tree
    )


def settle_weighed_sums(rec: Recording) -> None:
    """Take weights as those of linear layers where sums are all that is made of what they multiply."""
    storages = Counter(tensor.untyped_storage()._cdata for tensor, _ in rec.weighed_sums)
    for tensor, weighed in rec.weighed_sums:
        alone = rec.readings.times_read(tensor) <= storages[tensor.untyped_storage()._cdata]
        for tree, axes in weighed.items():
            rec.contracted.update(axes if alone else NOWHERE)
            rec.dotted += [] if alone else [tree]


def length(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Measure the length of a value over some dimensions; the largest size in them is no matter of copies."""
    power = args[1] if len(args) > 1 and isinstance(args[1], (int, float)) else 2
    rest = [args[0], *args[2:]]
    if abs(power) == inf:
        reduce_(rec, rest, out, name="size")
    else:
        _measure(rec, rest, out, LENGTH if power == 2 else OTHER, "length")
        if power != 2 and (value := rec.get(args[0])) is not None and value.node >= 0:
            rec.note(value, ("vector_norm", power))
    _note_root(rec, out)


def variance(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Take the variance over some dimensions: that of a sample depends on how many values it is taken of."""
    numbers = (a for a in args[2:] if isinstance(a, (int, float)) and not isinstance(a, bool))
    _measure(rec, args[:2], out, MEAN if next(numbers, 1) == 0 else OTHER, "var")


def deviation(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Take the root of the variance over some dimensions."""
    variance(rec, args, out)
    _note_root(rec, out)


def combine(rec: Recording, args: Sequence[Any], out: Any, *, name: str) -> None:
    """Reduce some dimensions to what copies change, such as a product or the logarithm of a sum."""
    _measure(rec, args, out, OTHER, "")
    rec.note(rec.get(args[0]), (name,))


def _measure(rec: Recording, args: Sequence[Any], out: Any, kind: str, name: str) -> None:
    """Reduce some dimensions to a statistic of a kind."""
    reduce_(rec, args, out, name=name)
    value = rec.get(args[0])
    if value is None or value.node < 0:
        return
    noted = rec.statistics.note(kind, [value.dims[d] for d in sorted(_reduced(args))])
    for result in out if isinstance(out, (list, tuple)) else [out]:
        if (made := rec.get(result)) is not None:
            rec.put(result, replace(made, over=made.over | noted))


def _note_root(rec: Recording, out: torch.Tensor) -> None:
    if (value := rec.get(first_of(out))) is not None:
        rec.put(first_of(out), replace(value, root=True))
