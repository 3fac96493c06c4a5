"""Which rule maps each dimension of a piece, and what the map is used for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isclose

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.turned import Way
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.pieces import AxisExpression, middle
from tli_cli.planning.numbers import kernel_starts
from tli_cli.planning.roles import Share
from tli_cli.planning.spaces.bending import acts_alone
from tli_cli.planning.spaces.dims import BEHIND, Alignment, Dim, with_heads
from tli_cli.planning.spaces.leaf_maps import Taken
from tli_cli.planning.spaces.maps import MapBook


@dataclass(frozen=True, slots=True)
class Ends:
    """What is wanted and what is offered for it.

    Attributes:
        target, wanted, layer: the target, the share of its tensor that is filled, and the layer that holds it.
        source, offered, model: the source, the share of its tensor that fills it, and the source's number.
        query: whether the layer makes queries.
        rescale: by what queries must be multiplied, the usual `1/sqrt(width)` if it is None.
        turn: how heads are turned, where the source turns them in the other way.
    """

    target: Architecture
    wanted: Share
    layer: Layer
    source: Architecture
    offered: Share
    model: int
    query: bool = False
    rescale: float | None = None
    turn: Way | None = None

    @property
    def with_whole_heads(self) -> Ends:
        """These, with the channels of each head as one dimension where heads are turned otherwise."""
        if self.turn is None:
            return self
        wanted = replace(self.wanted, axes=with_heads(self.target, self.wanted.axes, self.turn.width))
        offered = replace(self.offered, axes=with_heads(self.source, self.offered.axes, self.turn.width))
        return replace(self, wanted=wanted, offered=offered)


LOOKED_UP = ("embedding", "position", "token", "bias_table")
"""Kinds of layers that pick rows instead of summing over them."""


class MappedDims:
    """How the dimensions of a piece between `ends`, lined up by `alignment`, are mapped."""

    def __init__(self, ends: Ends, alignment: Alignment, book: MapBook) -> None:
        self._ends, self._pairs, self._book = ends, alignment.pairs, book
        self._made = [i for i, (t, _) in enumerate(self._pairs) if not t.contracted]
        rotary = [i for i in self._made if book.is_turned(self._pairs[i][0].tree, i)]
        wide = [i for i in self._made if self._pairs[i][0].size > 1]
        self._innermost = max(rotary or wide or self._made, default=-1)
        self._use = _use(ends, ends.layer.path in book.before_tied_head)
        of_image = any(t.contracted and t.kind == "input" for t, _ in self._pairs)
        self._kinds = [_kind(t, s, ends.layer, of_image, book) for t, s in self._pairs]
        self._rim = "" if ends.layer.kind == "conv" and not ends.layer.attribute("transposed") else "cut"
        self._starts = _starts(alignment, ends.layer, ends.source.layer_of[ends.offered.spec.name])

    @property
    def head(self) -> int:
        """The dimension along which heads that are turned otherwise are made; -1 if none is."""
        return max(self._made, default=-1) if self._ends.turn is not None else -1

    @property
    def gain(self) -> float:
        """What queries are left to be multiplied by."""
        wanted, offered = self._pairs[self._innermost]
        width = self._book.width_met(wanted.tree)
        return _gain(width, offered.size, self._ends.rescale) if "query" in self._use else 1.0

    @property
    def contracted(self) -> tuple[int, ...]:
        """The dimensions that the layer sums over."""
        if self._ends.layer.kind in LOOKED_UP:
            return ()
        return tuple(i for i, (t, _) in enumerate(self._pairs) if t.contracted)

    @property
    def expressions(self) -> tuple[AxisExpression, ...]:
        """The maps along the dimensions."""
        return tuple(map(self._expression, range(len(self._pairs))))

    def _expression(self, i: int) -> AxisExpression:
        turn, (mine, theirs) = self._ends.turn, self._pairs[i]
        if turn is not None and i == self.head and not turn.is_whole:
            return self._book.turned(turn)
        taken = Taken(self._ends.source, self._ends.model, self._kinds[i], self._use_of(i))
        return self._book.expression(mine.tree, theirs.tree, taken)

    def _use_of(self, i: int) -> str:
        if i == self._innermost:
            return self._use
        if i in self._made:
            return ""
        if self._kinds[i] == "kernel":
            return f"{self._rim} {self._starts.get(i, '')}".strip()
        return "raw" if self._ends.layer.path in self._book.raw_readers else ""


def _gain(wanted: int, offered: int, rescale: float | None) -> float:
    """Return what is left to multiply where the queries' map makes up for the usual scale by another width of heads."""
    if rescale is None or wanted <= offered:
        return 1.0
    gain = rescale / (wanted / offered) ** 0.5
    return 1.0 if isclose(gain, 1.0, rel_tol=1e-6) else gain


def _use(ends: Ends, before_tied_head: bool) -> str:
    if ends.layer.kind != "norm":
        return "query" if ends.query else ""
    makes_up = ends.wanted.role == "weight" and not acts_alone(ends.target, ends.layer)
    words = ("weight" if makes_up else "bias", before_tied_head and "tied", ends.query and "query")
    return " ".join(word for word in words if word)


def _kind(t: Dim, s: Dim, layer: Layer, of_image: bool, book: MapBook) -> str:
    if t.kind == "kernel" or s.kind == "kernel" or (of_image and t.kind == "grid"):
        if _is_patch(layer, of_image) and s.size > 1:
            return "patch"
        return "summed" if t.place >= BEHIND and layer.kind == "conv" else "kernel"
    if t.kind == "grid" and s.kind == "grid" and t.contracted and book.has_channels(t.tree):
        return "channels"  # beside others that the input has
    if t.kind == "grid" and s.kind == "grid":
        return "offsets" if layer.kind == "bias_table" or layer.attribute("relative") else "grid"
    if book.is_turned(t.tree, t.place, t.contracted):
        return "rotary"
    if t.kind == "regrouped":
        return t.kind
    for kind in ("input", "vocabulary", "classes"):
        if kind in (t.kind, s.kind):
            placed = layer.kind == "position" or canonical_role(layer.path) == "position"
            return "places" if kind == "vocabulary" and placed else kind
    return "channels"


def _starts(alignment: Alignment, target: Layer, source: Layer) -> dict[int, str]:
    """Return by dimension at which row of a kernel that of the source starts, where it is not in the middle."""
    kernel = [i for i, (t, s) in enumerate(alignment.pairs) if t.kind == s.kind == "kernel"]
    starts = kernel_starts(target, source) or ()
    sizes = [(alignment.pairs[i][0].size, alignment.pairs[i][1].size) for i in kernel]
    if len(starts) != len(kernel):
        return {}
    return {i: str(at) for i, at, (m, n) in zip(kernel, starts, sizes, strict=True) if at != middle(m, n)}


def _is_patch(layer: Layer, of_image: bool) -> bool:
    """Tell whether a layer takes an image patch by patch: one vector of each, or a kernel as wide as its stride."""
    stride, kernel = layer.attribute("stride"), layer.attribute("kernel")
    return bool(kernel and stride == kernel and max(kernel) > 1) or (layer.kind == "linear" and of_image)
