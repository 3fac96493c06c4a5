"""Which tensor of the source unit answers to which tensor of the target unit, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tli_cli.architecture import JOINED, STATISTICS, Architecture, Axis, AxisTree, TensorSpec
from tli_cli.describe.spaces import leaves
from tli_cli.grouping import grouped
from tli_cli.matching.parts import Part, parts_of
from tli_cli.matching.units import Unit, main_tensor
from tli_cli.pieces import Cut, shape_of_part

PART_LETTERS = "qkv"
ITERATED = ("_u", "_v", "weight_u", "weight_v")
"""The vectors of a spectral norm (arXiv 1802.05957), as torch calls them."""
END_TO_END = re.compile(r"\b(in_proj_(weight|bias)|c_attn\.\w+)$")
"""What queries, keys and values are called that lie end to end: in torch, and in GPT-2 of its authors."""


@dataclass(frozen=True)
class Share:
    """The part of one tensor that belongs to a unit, and the axes of that part.

    `dim` is cut, seen as `(outer, middle, inner)`: the part is `start:stop` of the middle; all, if `dim` is -1.
    """

    spec: TensorSpec
    role: str
    axes: tuple[Axis, ...]
    dim: int = -1
    outer: int = 1
    inner: int = 1
    start: int = 0
    stop: int = 0

    @property
    def _is_plain(self) -> bool:
        return self.outer == self.inner == 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The part's shape."""
        return shape_of_part(self.spec.shape, self.cut, self.view)

    @property
    def view(self) -> tuple[int, ...]:
        """The tensor's shape with the cut axis seen as three; empty where the part lies in one run."""
        if self.dim < 0 or self._is_plain:
            return ()
        shape = self.spec.shape
        middle = shape[self.dim] // (self.outer * self.inner)
        return (*shape[: self.dim], self.outer, middle, self.inner, *shape[self.dim + 1 :])

    @property
    def cut(self) -> Cut | None:
        """The part as `(axis, start, stop)` of `view`, or of the tensor; None for all of it."""
        return None if self.dim < 0 else (self.dim + (not self._is_plain), self.start, self.stop)


def shares(architecture: Architecture, unit: Unit) -> Iterator[Share]:
    """Yield the unit's share of each tensor of its layer."""
    layer = architecture.layers[unit.place]
    main = main_tensor(layer)
    if unit.part < 0 or main is None:
        for role, name in layer.tensors:
            yield Share(architecture.by_name[name], role, architecture.axes.get(name, ()))
        return
    tree = architecture.axes[main][unit.dim].tree
    part = parts_of(architecture, tree, unit.parts, layer.attribute("parts", ()))[unit.part]
    for role, name in layer.tensors:
        axes = architecture.axes.get(name, ())
        dim = next((d for d, axis in enumerate(axes) if axis.tree == tree), -1)
        if dim >= 0:
            axes = (*axes[:dim], Axis(part.tree, axes[dim].contracted), *axes[dim + 1 :])
            yield Share(architecture.by_name[name], role, axes, dim, part.outer, part.inner, part.start, part.stop)
        elif _is_of_part(architecture.by_name[name], role, part, unit.part):
            yield Share(architecture.by_name[name], role.partition(".")[0], axes)


def _is_of_part(spec: TensorSpec, role: str, part: Part, index: int) -> bool:
    """Tell whether a separate bias such as `q_bias` is that of a part: code lays it where the part lies, or, where that
    was not seen, its name says so."""
    if spec.worked and spec.worked[0].startswith(JOINED):
        lies_there = spec.worked[0] == f"{JOINED} {part.start}" and spec.size == part.stop - part.start
        return lies_there and part.outer == part.inner == 1
    last = role.partition(".")[2]
    return last[1:2] in ("_", "") and last[:1] == PART_LETTERS[index : index + 1] != ""


def answering(target: Share, offered: list[Share]) -> Share | None:
    """Return the share of `offered` that plays the role of `target`; None if the source unit has none."""
    same = [share for share in offered if share.role == target.role]
    alone = [share for share in offered if _is_worked_alike(target, share)]
    if len(alone) == 1 and alone[0] not in same:
        return alone[0]
    if same:
        return same[0]
    if len(offered) == 1 and target.spec.shape == offered[0].spec.shape:
        said = {spec.name.rpartition(".")[2] for spec in (target.spec, offered[0].spec)}
        if said.isdisjoint(("weight", "bias", *STATISTICS)):  # names that say no role, such as `time_decay`
            return offered[0]
    alike = [share for share in offered if share.role.partition(".")[0] == target.role.partition(".")[0]]
    if len(alike) != 1 or "." not in target.role + alike[0].role or target.spec.buffer > alike[0].spec.buffer:
        return None  # a mask is no parameter
    return alike[0]


def _is_worked_alike(target: Share, source: Share) -> bool:
    """Tell whether code works two parameters of one size, each one of several that make one weight, into it alike."""
    parts = (share.role.partition(".")[::2] for share in (target, source))
    (head, name), (other, their_name) = parts
    known = bool(target.spec.worked and name and their_name)
    return known and head == other and (target.spec.worked, target.shape) == (source.spec.worked, source.shape)


def is_mask(share: Share) -> bool:
    """Tell whether a buffer is worked into a weight, as the mask of a pruned one is."""
    return share.spec.buffer and share.role.startswith("weight.") and not is_iterated(share.spec)


def is_iterated(spec: TensorSpec) -> bool:
    """Tell whether a tensor is a vector of a spectral norm, which is improved at each step."""
    return spec.name.rpartition(".")[2] in ITERATED


def as_head(table: Share) -> Share:
    """Return the share of a table of tokens as that of a head, which sums over the table's width instead of picking its
    rows; what a head adds is the same in both."""
    if not any(axis.contracted for axis in table.axes):
        return table
    return replace(table, axes=tuple(Axis(axis.tree, not axis.contracted) for axis in table.axes))


def lying_as(known: Share, guessed: Share) -> Share:
    """Return a part that was guessed to lie end to end with others as it lies in a `known` tensor of that shape, head
    by head; as it is where its name says that it does not."""
    sizes = [(s.spec.shape, s.dim, (s.stop - s.start) * s.outer * s.inner) for s in (known, guessed)]
    by_head = (guessed.outer, guessed.inner) == (1, 1) != (known.outer, known.inner)
    if guessed.dim < 0 or not by_head or sizes[0] != sizes[1] or END_TO_END.search(guessed.spec.name):
        return guessed
    return replace(guessed, outer=known.outer, inner=known.inner, start=known.start, stop=known.stop)


def is_cut_by_guess(target: Architecture, wanted: Share, source: Architecture, offered: Share) -> bool:
    """Tell whether parts that alternate head by head are paired with others, and the number of heads is a guess."""
    guessed = [_is_guessed(target, wanted), _is_guessed(source, offered)]
    return any(guessed) and (not all(guessed) or (wanted.outer, wanted.inner) != (offered.outer, offered.inner))


def _is_guessed(architecture: Architecture, share: Share) -> bool:
    return share.dim >= 0 and not architecture.guessed.isdisjoint(leaves(share.axes[share.dim].tree))


def made_by(architecture: Architecture, unit: Unit) -> AxisTree | None:
    """Return the last axis along which `unit` makes its channels; None where its weight's axes are not known."""
    for share in shares(architecture, unit):
        made = [axis.tree for axis in share.axes if not axis.contracted]
        if share.role == "weight" and made:
            return made[-1]
    return None


def biases_beside(architecture: Architecture) -> Mapping[str, set[str]]:
    """Return for each tensor the biases of its layer, and those that its module holds apart from any weight, such as
    that of an attention with three weights, which names alone do not tell from another vector."""
    alone = (layer.tensors[0][1] for layer in architecture.layers if len(layer.tensors) == 1)
    apart = grouped((name for name in alone if name.endswith("bias")), _module)
    beside: dict[str, set[str]] = {}
    for layer in architecture.layers:
        own = {name for role, name in layer.tensors if role.partition(".")[0] == "bias"}
        beside |= {name: own.union(apart.get(_module(name), ())) for _, name in layer.tensors}
    return beside


def _module(name: str) -> str:
    """Return the module that holds a tensor; of one that no module holds, the tensor itself."""
    return name.rpartition(".")[0] or name
