"""What a convolution finds around its input: zeros of its own, zeros that code puts there, and outputs that are cut
off."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch

from tli_cli.describe.tracing.numbers import are_places
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value
from tli_cli.noted import CONVOLUTION

EDGES = ("reflection_pad", "replication_pad")


def note_convolution(rec: Recording, args: Sequence[Any], out: Any) -> None:
    """Note stride, padding and dilation of a convolution for its layer; what stands behind its input only where that
    is not as much as before it."""
    value = rec.get(args[0])
    if value is None or value.node < 0:
        return
    stride, around, apart = (tuple(a) for a in args[3:6])
    none = (0,) * len(around)
    before, after = rec.borders.padded.get(id(args[0]), (none, none))
    if (at := rec.borders.edged.get(id(args[0]))) is not None:
        if rec.get(args[1]) is None:  # a kernel of numbers in code, such as a blur's, which nothing resizes
            before, after = none, none
        else:
            rec.numbers[at] = (rec.numbers[at][0], rec.numbers[at][1][:1])
    if args[6] or len(before) != len(around):
        behind = tuple(a - more for a, more in zip(around, args[7], strict=True)) if args[6] else around
        rec.numbers.append((rec.last, _number(stride, around, apart, behind)))
        return
    rec.borders.slid[id(out)] = len(rec.numbers)
    rec.numbers.append((rec.last, _number(stride, _sum(around, before), apart, _sum(around, after))))


def note_padding(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Note how many zeros code puts before and behind the places of a value, or which other number."""
    number = args[2] if len(args) > 2 else 0
    sides = list(zip(args[1][::2], args[1][1::2], strict=True))[::-1]
    spatial = out.ndim - 2
    if (isfinite(number) if number else len(sides) > spatial) and (value := rec.get(args[0])) is not None:
        _note_other(rec, value, number, sides)
    if number or len(sides) > spatial:
        return
    sides = [(0, 0)] * (spatial - len(sides)) + sides
    inner = rec.borders.padded.get(id(args[0]), ((0,) * spatial, (0,) * spatial))
    before, after = (_sum(old, [side[i] for side in sides]) for i, old in enumerate(inner))
    rec.borders.padded[id(out)] = (before, after)


def _note_other(rec: Recording, value: Value, number: float, sides: Sequence[tuple[int, int]]) -> None:
    """Note what code puts around places that no convolution can meet in place of zeros of its own."""
    padded = [tree for tree, side in zip(value.dims[-len(sides) :], sides, strict=True) if any(side)]
    if value.node >= 0 and padded and all(are_places(rec, tree) for tree in padded):
        rec.note(value, ("constant_pad", number, *(n for side in sides for n in side)))


def note_edge(rec: Recording, name: str, args: Sequence[Any], out: torch.Tensor) -> None:
    """Note how far the operation `name`, if it is one that repeats or mirrors the edges of a value, does so: a
    convolution behind it meets as many places around its input as of zeros."""
    noted = bool(rec.numbers) and rec.numbers[-1][1][0] == name and name.startswith(EDGES)
    if noted and id(args[0]) not in rec.borders.padded:
        note_padding(rec, args[:2], out)
        rec.borders.edged[id(out)] = len(rec.numbers) - 1


def note_cut(rec: Recording, args: Sequence[Any], dim: int, start: int, out: torch.Tensor) -> None:
    """Take what is cut off the output of a convolution, `start` places at its start, for zeros that are not there.

    Where it is cut in two ways, nothing is taken.
    """
    at = rec.borders.slid.get(id(args[0]))
    if at is None:
        return
    if dim < 2 or out.shape == args[0].shape:
        rec.borders.slid[id(out)] = at
        return
    place, number = rec.numbers[at]
    if id(args[0]) in rec.borders.cut:
        rec.numbers[at] = (place, rec.borders.cut[id(args[0])])
        return
    rec.borders.cut[id(args[0])], rec.borders.slid[id(out)] = number, at
    _, stride, before, apart, *behind = number
    after = list(behind[0] if behind else before)
    first = list(before)
    first[dim - 2] -= start * stride[dim - 2]
    after[dim - 2] -= (args[0].shape[dim] - start - out.shape[dim]) * stride[dim - 2]
    rec.numbers[at] = (place, _number(stride, tuple(first), apart, tuple(after)))


def _number(stride: tuple[int, ...], before: tuple[int, ...], apart: tuple[int, ...], after: tuple[int, ...]) -> Any:
    return (CONVOLUTION, stride, before, apart, *([after] if after != before else []))


def _sum(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))
