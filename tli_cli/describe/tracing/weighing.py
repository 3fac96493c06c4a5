"""What a softmax weighs: over which places it runs, all or those of windows that code cuts a map into, and which factor
of the products before it each of their axes comes of, as attention sums over the keys, which its softmax ran over.

No tensor tells of either. Code writes products with either factor first, and turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from typing import Any

import torch

from tli_cli.architecture import LINEAR
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value
from tli_cli.noted import WEIGHED, Number


def note_weighed(rec: Recording) -> None:
    """Note for each layer that is run next behind a softmax over places how these are cut.

    Of each axis of a map that is cut the sizes of its factors, the outermost first; those that the softmax did not run
    over count as negative.
    """
    factors = map(rec.table.leaves, rec.table.cut)
    cut = [axis for found in factors if len(axis := [leaf for leaf in found if _are_places(rec, leaf)]) > 1]
    for node, dims, dim in rec.weighed:
        own, *others = ({*rec.table.leaves(d)} for d in (dims[dim], *dims))
        layer = next((n.layer for n in rec.nodes[node:] if n.layer >= 0 and rec.layers[n.layer].kind in LINEAR), -1)
        if layer >= 0 and any(_are_places(rec, leaf) for leaf in own):
            rec.numbers.append((layer, _number(rec, cut, own, own.union(*others))))


def _number(rec: Recording, cut: list[list[int]], own: set[int], held: set[int]) -> Number:
    axes = {tuple(leaf for leaf in axis if leaf in held) for axis in cut}
    parted = [axis for axis in axes if not own.isdisjoint(axis) and not own.issuperset(axis)]
    whole = [axis for axis in parted if not any({*axis} < {*other} for other in parted)]
    return (WEIGHED, *sorted(_runs(rec, axis, own) for axis in whole))


def _runs(rec: Recording, axis: tuple[int, ...], own: set[int]) -> tuple[int, ...]:
    runs = [(weighed, rec.table.size(("*", *run))) for weighed, run in groupby(axis, own.__contains__)]
    return tuple(size if weighed else -size for weighed, size in runs)


def _are_places(rec: Recording, leaf: int) -> bool:
    return rec.table.kind(leaf) == "grid" and rec.table.size(leaf) > 1


ACROSS = ("matmul", "across")
"""In place of an operation and its numbers: a sum over what no softmax ran over."""
TURNED = ("matmul", "turned")
"""In place of an operation and its numbers: a sum over the first factor of a product that met a table of such."""
PRODUCTS = ("mm", "bmm", "baddbmm", "addmm")
SOFTMAXES = ("_softmax", "_safe_softmax")


@dataclass(frozen=True)
class Scores:
    """Products of two values, the factors of graph node `node`.

    `at` are the axes that come of the first and of the second factor, `softmax` is the factor that a softmax ran over,
    -1 before that. What was `met` is another tensor of such axes, as a table of biases is.
    """

    node: int
    at: tuple[int, int]
    softmax: int = -1
    met: bool = False


class Sides:
    """The scores among the tensors of a recording."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._held: dict[int, Scores] = {}
        self._weighing: dict[int, int] = {}

    def follow(self, name: str, args: Sequence[Any], out: Any) -> None:
        """Note what the operation `name` makes of scores, and the scores that it makes."""
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        value = self._recording.get(out)
        if value is None or out.ndim < 2:
            return
        if name in PRODUCTS:
            self._multiply(tensors[-2:], value, out)
        elif (found := next((t for t in tensors if id(t) in self._held), None)) is not None:
            scores = _followed(self._held[id(found)], name, args, found, out)
            others = [t for t in tensors if t is not found and id(t) not in self._held]
            if scores is not None:
                met = scores.met or any(t.ndim > 1 and max(t.shape[-2:]) > 1 for t in others)
                self._held[id(out)] = replace(scores, met=met)

    def _multiply(self, factors: Sequence[torch.Tensor], value: Value, out: torch.Tensor) -> None:
        rec, node = self._recording, value.node
        if node < 0 or rec.nodes[node].op != "matmul" or len(rec.nodes[node].inputs) != 2:
            return
        weights = [(at, s) for at, t in enumerate(factors) if (s := self._held.get(id(t))) and s.softmax >= 0]
        if len(weights) != 1:
            self._held[id(out)] = Scores(node, (out.ndim - 2, out.ndim - 1))
            return
        at, scores = weights[0]
        summed = scores.at.index(out.ndim - 1 - at) if set(scores.at) == {out.ndim - 2, out.ndim - 1} else -1
        if summed < 0:
            return
        first = self._weighing.setdefault(scores.node, node) == node
        if at == 1:
            _turn(rec, node)
        if summed == 0 and first and not scores.met:
            _turn(rec, scores.node)
        elif summed == 0:
            rec.note(value, TURNED)
        if summed != scores.softmax:
            rec.note(value, ACROSS)


def _turn(rec: Recording, node: int) -> None:
    """Put the second factor of a product first."""
    rec.nodes[node] = replace(rec.nodes[node], inputs=rec.nodes[node].inputs[::-1])


def _followed(scores: Scores, name: str, args: Sequence[Any], given: torch.Tensor, out: torch.Tensor) -> Scores | None:
    """Return what `out` is, made of scores by the operation `name`; None where that is not known."""
    if name in SOFTMAXES:
        dim = args[1] % given.ndim
        return replace(scores, softmax=scores.at.index(dim)) if dim in scores.at else None
    first, second = (_moved(name, args, given, out, dim) for dim in scores.at)
    return replace(scores, at=(first, second)) if min(first, second) >= 0 else None


def _moved(name: str, args: Sequence[Any], given: torch.Tensor, out: torch.Tensor, dim: int) -> int:
    """Return where an axis is in what is made of `given`: that of its size with as much behind it, unless axes are
    permuted; -1 if there is none."""
    if name == "permute":
        return [d % given.ndim for d in args[1]].index(dim)
    if name in ("t", "transpose"):
        one, other = (d % given.ndim for d in (args[1:3] if name == "transpose" else (0, 1)))
        return {one: other, other: one}.get(dim, dim)
    size, behind = given.shape[dim], prod(given.shape[dim + 1 :])
    return next((d for d in range(out.ndim) if out.shape[d] == size > 1 and prod(out.shape[d + 1 :]) == behind), -1)
