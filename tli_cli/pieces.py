"""What one tensor of a target is made of: parts of source tensors, and the maps of their axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AxisExpression = int | tuple[Any, ...]
"""One target axis in terms of `Plan.maps`: a map's index, `("+", e, ...)` for parts end to end, `("*", e, ...)` for
factors, the outermost first."""

Cut = tuple[int, int, int]
"""A part of a tensor: `(axis, start, stop)`."""


@dataclass(frozen=True, slots=True)
class AxisMap:
    """How `rows` target indices are taken from `columns` source indices; shared by all coupled axes.

    `rule` names how the map is made (`same`, `widen`, `strongest` ...: `tli_cli.axis_maps.rules`). `index`, if
    given, fixes the source index of every target index, -1 meaning none, and overrides the rule. `members` are the
    source tensors' axes that carry the channels: `(model, tensor, axis, start, stop, outer, inner)`, where the part
    from `start` to `stop` is `(outer, columns, inner)`; the rule weighs them. `listing` says row by row what the rule
    `tokens` takes, as `tli_cli.axis_maps.listing` reads it. `exact` says whether the map by itself preserves the
    function.
    """

    rule: str
    rows: int
    columns: int
    exact: bool = True
    index: tuple[int, ...] | None = None
    members: tuple[tuple[Any, ...], ...] = ()
    label: str = ""
    listing: str = ""

    @property
    def rows_taken(self) -> int:
        """The number of target rows that a map which takes rows as they are finds in the source."""
        return min(self.rows, self.columns) if self.index is None else sum(row >= 0 for row in self.index)


@dataclass(frozen=True, slots=True)
class Layout:
    """A reordering of a source tensor before its axes are mapped: view as `split`, `permute`, view as `shape`."""

    split: tuple[int, ...]
    permute: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A norm of the source that is taken into a layer beside it, by the names of its tensors; empty where there are
    none.

    Of a batch norm behind the layer, or a scale, which has no mean and no variance, and of the layer's `bias`:

    A weight is multiplied by `scale / sqrt(variance + epsilon)` along its first axis, or by `scale` alone, and so is a
    bias; a piece of `mean` becomes the bias. Before that a weight gets the `length` that the source gives it, along the
    axes along which that has places (weight normalisation, arXiv 1602.07868).

    Of a norm before the layer: what the weight sums over along `axis` is multiplied by `before` plus `offset`.
    """

    mean: str = ""
    variance: str = ""
    scale: str = ""
    shift: str = ""
    bias: str = ""
    epsilon: float = 1e-5
    length: str = ""
    before: str = ""
    axis: int = 1
    offset: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors that there are."""
        held = (self.mean, self.variance, self.scale, self.shift, self.bias, self.length, self.before)
        return tuple(filter(None, held))


@dataclass(frozen=True, slots=True)
class Piece:
    """One contribution to a target tensor.

    `target_range` and `source_range` are `(axis, start, stop)` slices (a fused projection's part), None for all of it.
    They count along `target_view` and `source_view` where these are given: the tensor's shape with one axis seen as
    three, of which the middle one is cut (parts that alternate head by head).
    `axes` has one expression for each axis of the slice; empty means that the step's resizer works on shapes alone.
    `gain` multiplies the values; `added` are the numbers that code adds to the source's tensor and to the target's
    before they are used: what is mapped and multiplied is the sum. `source_shape` is the whole source tensor's shape.
    `fold` is taken into the source tensor before anything else.
    """

    source: str
    model: int = 0
    weight: float = 1.0
    target_range: Cut | None = None
    source_range: Cut | None = None
    layout: Layout | None = None
    axes: tuple[AxisExpression, ...] = ()
    contracted: tuple[int, ...] = ()
    gain: float = 1.0
    source_shape: tuple[int, ...] = ()
    target_view: tuple[int, ...] = ()
    source_view: tuple[int, ...] = ()
    fold: Fold | None = None
    added: tuple[float, float] = (0.0, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the source tensors that are read."""
        return (self.source, *(self.fold.names if self.fold is not None else ()))


def middle(rows: int, columns: int) -> int:
    """Return how many rows of zeros stand before a kernel of `columns` in the middle of one of `rows`."""
    return -((columns - rows + (columns < rows)) // 2)


def shape_of_part(shape: tuple[int, ...], part: Cut | None, view: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a `part` of a tensor of `shape`; with `view`, in which one axis is seen as three, of which
    the middle one is cut, the three become one again.

    >>> shape_of_part((12, 8), (1, 0, 2), (2, 3, 2, 8))
    (8, 8)
    """
    if part is None:
        return shape
    axis, start, stop = part
    if not view:
        return (*shape[:axis], stop - start, *shape[axis + 1 :])
    return (*shape[: axis - 1], view[axis - 1] * (stop - start) * view[axis + 1], *shape[axis:])
