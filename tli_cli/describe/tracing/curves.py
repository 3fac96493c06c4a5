"""What operations that work index by index make of one tensor, worked out at a few points.

So an activation is known that code writes out by simpler operations, such as `x * sigmoid(x)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._pytree import tree_map

from tli_cli.describe.tracing.operation_names import COPIES
from tli_cli.describe.tracing.values import Value

LONGEST = 12
"""How many operations an activation is written out by at most."""

CLOSE = 1e-6
"""By how much an activation may differ from one whose constants are written with more digits."""

ROUNDING = 1e-13
"""By how much values near zero may differ; less than what keeps a division from zero, such as `clamp_min(1e-12)`."""

NAMED: Mapping[tuple[Any, ...], Callable[[torch.Tensor], torch.Tensor]] = {
    ("relu",): F.relu,
    ("hardtanh", 0.0, 6.0): F.relu6,
    ("sigmoid",): torch.sigmoid,
    ("tanh",): torch.tanh,
    ("softplus",): F.softplus,
    ("silu",): F.silu,
    ("mish",): F.mish,
    ("hardsigmoid",): F.hardsigmoid,
    ("hardswish",): F.hardswish,
    ("gelu",): F.gelu,
    ("gelu", "tanh"): lambda x: F.gelu(x, approximate="tanh"),
}
"""Activations by the operation and the numbers that it takes."""

Point = tuple[int, int]
"""A tensor, by its identity and how often it has been written to."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A tensor as a function of another one: its values at the points, after how many operations, which `numbers` were
    noted of these."""

    values: torch.Tensor
    length: int = 0
    numbers: frozenset[int] = frozenset()


Given = Mapping[int, Mapping[Point, Curve]]
"""What the tensors that an operation takes are functions of, by their identity."""


@dataclass(slots=True)
class Curves:
    """For each tensor what it is as a function of those that it was worked out of index by index."""

    _of: dict[Point, dict[Point, Curve]] = field(default_factory=dict)
    _roots: dict[Point, Value] = field(default_factory=dict)
    _writes: dict[int, int] = field(default_factory=dict)
    _alive: list[torch.Tensor] = field(default_factory=list)

    def of(self, tensor: torch.Tensor, value: Value) -> Mapping[Point, Curve]:
        """Return what `tensor`, of which `value` is known, is a function of: itself at least, if it holds real numbers,
        and no truth values, for example."""
        point = self._point(tensor)
        if point not in self._of:
            self.put(tensor, value, {})
        return self._of[point]

    def root(self, point: Point) -> Value:
        """Return what is known of a tensor that others are functions of."""
        return self._roots[point]

    def put(self, tensor: torch.Tensor, value: Value, curves: Mapping[Point, Curve]) -> None:
        """Remember what `tensor`, of which `value` is known, is a function of besides itself."""
        point = self._point(tensor)
        self._of[point] = ({point: Curve(_points())} if tensor.is_floating_point() else {}) | {**curves}
        self._roots[point] = value
        self._alive.append(tensor)

    def written(self, tensor: torch.Tensor) -> None:
        """Remember that `tensor` holds something else from now on."""
        self._writes[id(tensor)] = self._writes.get(id(tensor), 0) + 1
        self._alive.append(tensor)

    def _point(self, tensor: torch.Tensor) -> Point:
        return id(tensor), self._writes.get(id(tensor), 0)


def is_followed(func: Any) -> bool:
    """Tell whether the operation `func` works index by index, or changes no numbers."""
    return torch.Tag.pointwise in func.tags or func._overloadpacket.__name__ in COPIES


def curves_made(
    func: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    given: Given,
    numbers: Mapping[int, torch.Tensor],
    noted: Iterable[int],
) -> dict[Point, Curve]:
    """Return what `func` makes of `given` as a function of each tensor that all of these are functions of.

    `numbers` are the other tensors that it takes, and `noted` what was noted of it.
    """
    made = {}
    for root in set.intersection(*(set(found) for found in given.values())):
        curves = {key: found[root] for key, found in given.items()}
        length = 1 + sum(curve.length for curve in curves.values())
        if length <= LONGEST:
            values = _applied(func, args, kwargs, {**numbers, **{key: c.values for key, c in curves.items()}})
            made[root] = Curve(values, length, frozenset(noted).union(*(c.numbers for c in curves.values())))
    return made


def activation(curve: Curve) -> tuple[Any, ...]:
    """Return the operation and its numbers that compute the same; empty if none does."""
    near = partial(torch.allclose, curve.values, rtol=CLOSE, atol=ROUNDING)
    return next((name for name, v in _known().items() if curve.values.is_floating_point() and near(v)), ())


def _applied(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], values: Mapping[int, torch.Tensor]
) -> torch.Tensor:
    def plain(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return values[id(item)].clone()
        return torch.float64 if isinstance(item, torch.dtype) and item.is_floating_point else item

    if func._overloadpacket.__name__ in COPIES:
        kind, moved = kwargs.get("dtype"), values[id(args[0])]
        return moved if kind is None or kind.is_floating_point else moved.to(kind)
    made: torch.Tensor = func(*tree_map(plain, args), **tree_map(plain, dict(kwargs)))
    return made


@cache
def _points() -> torch.Tensor:
    return torch.linspace(-7.9, 8.1, 41, dtype=torch.float64, device="cpu")


@cache
def _known() -> dict[tuple[Any, ...], torch.Tensor]:
    return {name: function(_points()) for name, function in NAMED.items()}
