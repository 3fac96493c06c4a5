"""The description of a network: shapes, kinds, roles, order, graph and coupled axes, and no values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

from tli_cli.noted import CONVOLUTION, EPSILON, GROUPS, OFFSET, Number

AxisTree = int | tuple[Any, ...]
"""One tensor axis in terms of spaces: a space's index, `("+", tree, ...)` for parts laid end to end, or
`("*", tree, ...)` for factors, the outermost first (`("*", heads, head_width)`)."""

InitialValue = tuple[tuple[Any, ...], ...]
"""The in-place operations that a constructor ran on a tensor, in order: `(("normal_", 0.0, 0.02),)`."""

LINEAR = ("conv", "linear")
"""The kinds of layers whose weight multiplies what goes in."""

UNTOLD = "other"
"""The kind of layers of which nothing tells what they do."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""The roles of what a batch norm counts while it trains."""

JOINED = "cat"
"""The operation that lays parameters end to end, before a layer uses them."""

DOT = 0
"""The index of a product of two values, index by index, that is summed over channels."""

ORDERS = ("trace", "catalogue", "recognised", "definition", "file", "inferred")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, `shape` and dtype (`float32`, `bfloat16`, `int64` ...) of one entry of a state dict.

    `worked` says by which operations code works a parameter into what its layer uses, where that was seen, and as
    which operand, or `JOINED` behind how many values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    tied_to: str | None = None
    buffer: bool = False
    worked: tuple[str, ...] = field(default=(), compare=False)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Space:
    """Channels (or positions) that one or more tensor axes run over.

    `kind` is `channels`, `heads`, `head_width`, `groups`, `parts` (a fused projection's index: each index is
    another role), `kernel`, `grid` (image or token positions), `classes`, `input` or `vocabulary`.
    """

    size: int
    kind: str = "channels"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor: its tree of spaces, and whether the layer sums over it (a consumer's input)."""

    tree: AxisTree
    contracted: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """The unit of matching: tensors that act together, by role.

    `kind` is `conv`, `linear`, `norm`, `embedding`, `position`, `token`, `scale`, `bias_table` or `other`.
    `block` and `stage` are module paths (or stage numbers) that group layers; `attributes` hold what the
    operation adds to the shapes, such as `("groups", 32)`, `("norm", "batch")`, `("heads", 12)`. `numbers` are those
    written in code that act on what it makes, up to the next layer, in order; empty where the code was not run.
    `constants` tell of tensors that code makes of numbers alone and that act there, where they are known: the
    operation, the shape, that without what is repeated, and two numbers that other values or another order change; of
    what a norm that is written out adds to the variance; and, where its code was not run, of what all of its class add
    to the weight.
    """

    path: str
    kind: str
    tensors: tuple[tuple[str, str], ...]
    block: str = ""
    stage: str = ""
    attributes: tuple[tuple[str, Any], ...] = ()
    numbers: tuple[Number, ...] = ()
    constants: tuple[Number, ...] = field(default=(), compare=False)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return the attribute called `name`, or `default`."""
        for own, value in self.attributes:
            if own == name:
                return value
        return default

    def tensor(self, role: str) -> str | None:
        """Return the name of the tensor that has `role`, or None."""
        for own, name in self.tensors:
            if own == role:
                return name
        return None

    def with_attributes(self, **added: Any) -> Layer:
        """Return the layer with the attributes `added`, in the place of those it has under these names."""
        return replace(self, attributes=tuple(sorted((dict(self.attributes) | added).items())))

    @property
    def is_added(self) -> bool:
        """Whether it is a table of absolute positions, which some code looks up and adds and other code adds as it
        is."""
        return self.kind == "position" and not self.attribute("relative")

    def noted(self, word: str) -> list[Number]:
        """Return what is noted under `word` of what acts after the layer, in order."""
        return [number for number in (*self.numbers, *self.constants) if number[0] == word]

    @property
    def offset(self) -> float:
        """The number that code adds to its weight before that is used; where it is not 0, zeros do not give zero."""
        return next((float(number[1]) for number in self.noted(OFFSET)), 0.0)

    @property
    def epsilon(self) -> float | None:
        """What a norm adds to the variance; None where that is not known."""
        return next((float(number[1]) for number in self.noted(EPSILON)), None)

    @property
    def averages(self) -> int | None:
        """In how many groups a norm averages over its channels; None where that is not known."""
        return next((int(number[1]) for number in self.noted(GROUPS)), None)

    @property
    def moves(self) -> Number | None:
        """How a convolution moves over its input, with its stride, zeros and dilation; None where that is not known."""
        return next((number for number in self.noted(CONVOLUTION) if len(number) > 3), None)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the execution graph, inputs before it in the list.

    `op` is `input`, `constant`, `layer`, a join (`add`, `mul`, `cat`, `matmul`), `part` (`index` says which), or
    the name of an activation or pooling (`relu`, `softmax`, `max_pool2d` ...). `layer` indexes
    `Architecture.layers`, -1 if none. A softmax has index 0 where a constant acts on what it weighs that is made in
    code, such as the mask of a causal attention; a product of values has the index `DOT` where it is summed over
    channels. `code` are, for each of the inputs, the numbers of what code does with it before; None where that
    was not followed.
    """

    op: str
    inputs: tuple[int, ...] = ()
    layer: int = -1
    index: int = -1
    code: tuple[tuple[Number, ...], ...] | None = field(default=None, compare=False)


@dataclass(frozen=True, repr=False)
class Architecture:
    """Everything that matching needs to know of a network.

    Attributes:
        tensors: every entry of the state dict, in definition order.
        layers: every layer, in execution order where it is known; each tensor stands in exactly one.
        graph: the execution graph in execution order; empty if unknown.
        spaces: what the axes' trees refer to.
        axes: tensor name -> one `Axis` for each dimension; tensors whose coupling is unknown are absent.
        guessed: the spaces whose sizes were guessed from products that are known, such as the number of heads.
        coded: the spaces over which numbers run that are made in code, such as slopes by head.
        dotted: the spaces over which products of two values are summed, such as the width of a head.
        averaged: the spaces over which norms average that have no tensors, or means are taken that no norm takes off.
        initial: tensor name -> the operations that its constructor runs on it; absent where unknown.
        order_from: where the order of the layers comes from, one of `ORDERS`.
        origin: what this is, for people: `timm resnet50`, `checkpoint src.pt`.
    """

    tensors: tuple[TensorSpec, ...]
    layers: tuple[Layer, ...]
    graph: tuple[Node, ...] = ()
    spaces: tuple[Space, ...] = ()
    axes: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    initial: dict[str, InitialValue] = field(default_factory=dict)
    order_from: str = "definition"
    origin: str = ""
    guessed: frozenset[int] = frozenset()
    coded: frozenset[int] = frozenset()
    dotted: frozenset[int] = frozenset()
    averaged: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        """Say in one line what it is; `layers` and `tensors` say it in full."""
        return (
            f"Architecture({self.origin or 'unnamed'}: {len(self.tensors)} tensors in {len(self.layers)} layers, "
            f"{self.parameters:,} parameters)"
        )

    @cached_property
    def by_name(self) -> dict[str, TensorSpec]:
        """The tensors by name."""
        return {t.name: t for t in self.tensors}

    @cached_property
    def was_run(self) -> bool:
        """Whether its code was run, so that the numbers in it are known."""
        traced = bool(self.graph) and self.order_from in ("trace", "catalogue")
        return traced or any(layer.numbers for layer in self.layers)

    @cached_property
    def layer_of(self) -> dict[str, Layer]:
        """The layer in which each tensor stands, by tensor name."""
        return {name: layer for layer in self.layers for _, name in layer.tensors}

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each node of the graph the nodes that read it, in order, as often as they do."""
        found: list[list[int]] = [[] for _ in self.graph]
        for index, node in enumerate(self.graph):
            for before in node.inputs:
                found[before].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """For each node of the graph the kind of its layer; empty where it is none."""
        return tuple(self.layers[node.layer].kind if node.layer >= 0 else "" for node in self.graph)

    @cached_property
    def run(self) -> frozenset[int]:
        """The places of the layers that stand in the graph."""
        return frozenset(node.layer for node in self.graph if node.layer >= 0)

    def weight_axes(self, layer: Layer) -> tuple[Axis, ...]:
        """Return the axes of a layer's weight; none where they are not known."""
        return self.axes.get(layer.tensor("weight") or "", ())

    def made(self, name: str | None) -> list[AxisTree]:
        """Return what tensor `name` runs over, without what its layer sums over; nothing where that is not known."""
        return [axis.tree for axis in self.axes.get(name or "", ()) if not axis.contracted]

    @property
    def parameters(self) -> int:
        """The number of trainable elements, tied ones counted once."""
        return sum(t.size for t in self.tensors if not t.buffer and t.tied_to is None)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of names, shapes and dtypes, whatever their order."""
        rows = sorted((t.name, list(t.shape), t.dtype) for t in self.tensors)
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    def size_of(self, tree: AxisTree) -> int:
        """Return the number of indices that `tree` runs over."""
        return tree_size(tree, self._sizes)

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(space.size for space in self.spaces)


def tree_size(tree: AxisTree, sizes: Sequence[int] | Mapping[int, int]) -> int:
    """Return the number of indices that `tree` runs over, from the sizes of its leaves."""
    if isinstance(tree, int):
        return sizes[tree]
    parts = [tree_size(part, sizes) for part in tree[1:]]
    return sum(parts) if tree[0] == "+" else prod(parts)
