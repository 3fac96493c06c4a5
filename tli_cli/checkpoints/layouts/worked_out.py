"""Weights of which a file stores what torch works them out from: those that are pruned as values and a mask, those that
are spectrally normalised (arXiv 1802.05957) as values and two vectors, which tell their largest singular value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint, Made, Read, ReaderOf

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]

_VALUES = re.compile(r"(?P<path>.*?)(?:parametrizations\.(?P<new>\w+)\.original|(?P<old>\w+)_orig)")
"""What the values are called since torch's version 2, and before."""
_ENDS = (".original", "_orig")


@dataclass(frozen=True)
class Origin:
    """What one weight is worked out from, by the names of the tensors; those that there are not are empty."""

    values: str
    mask: str = ""
    left: str = ""
    right: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors that there are."""
        return tuple(filter(None, (self.values, self.mask, self.left, self.right)))

    @property
    def is_recent(self) -> bool:
        """Whether the tensors are called as since torch's version 2."""
        return self.values.endswith(".original")

    def respelled(self, plain: str) -> dict[str, str]:
        """Return what the tensors that make the weight called `plain` are called in the other way, by their names."""
        path, _, attribute = f".{plain}".rpartition(".")
        recent = f"{path}.parametrizations.{attribute}".removeprefix(".")
        new = (f"{recent}.original", f"{recent}.0._u", f"{recent}.0._v")
        old = (f"{plain}_orig", f"{plain}_u", f"{plain}_v")
        return dict(zip(*((new, old) if self.is_recent else (old, new)), strict=True))

    def worked_out(self, read: Read) -> torch.Tensor:
        """Return the weight as it is used, of the tensors that `read` gives."""
        import torch

        values = read(self.values)
        if self.mask:
            return values * read(self.mask).to(values.dtype)
        working = torch.float64 if values.dtype == torch.float64 else torch.float32
        left, right = (read(name).to(working) for name in (self.left, self.right))
        whole = values.to(working)
        # along the second axis of transposed convolutions: their vectors say so, by their sizes or by what they give
        turned = [whole.flatten(1), whole.transpose(0, 1).flatten(1)]
        sums = [left @ (matrix @ right) for matrix in turned if matrix.shape == (len(left), len(right))]
        return (whole / max(sums, key=abs)).to(values.dtype)


def origins(tensors: Iterable[TensorSpec]) -> dict[str, Origin]:
    """Return what weights are worked out from that `tensors` hold so, by their plain names."""
    shapes = {spec.name: spec.shape for spec in tensors}
    found = {}
    for name in (name for name in shapes if name.endswith(_ENDS)):
        match = _VALUES.fullmatch(name)
        plain = match and match["path"] + (match["new"] or match["old"])
        if match and plain and plain not in shapes and (origin := _origin(name, match, shapes)):
            found[plain] = origin
    return found


def _origin(name: str, match: re.Match[str], shapes: Shapes) -> Origin | None:
    shape = shapes[name]
    if match["old"] and shapes.get(mask := f"{match['path']}{match['old']}_mask") == shape:
        return Origin(name, mask)
    stem = f"{match['path']}{match['old']}" if match["old"] else f"{name.removesuffix('original')}0."
    left, right = f"{stem}_u", f"{stem}_v"
    if len(shape) > 1 and len(shapes.get(left, ())) == len(shapes.get(right, ())) == 1:
        rows, columns = shapes[left][0], shapes[right][0]
        if rows in shape[:2] and rows * columns == prod(shape):
            return Origin(name, "", left, right)
    return None


def worked_out(checkpoint: Checkpoint, made: Mapping[str, Origin]) -> Checkpoint:
    """Return `checkpoint` with weights as they are used in place of what they are `made` from."""
    plain = {origin.values: name for name, origin in made.items()}
    parts = {name for origin in made.values() for name in origin.names}
    tensors = [
        replace(s, name=plain.get(s.name, s.name), tied_to=plain.get(s.tied_to or "", s.tied_to))
        for s in checkpoint.tensors
        if s.name in plain or s.name not in parts
    ]
    return with_made(checkpoint, tensors, {name: origin.worked_out for name, origin in made.items()})


def with_made(checkpoint: Checkpoint, tensors: Sequence[TensorSpec], made: Made) -> Checkpoint:
    """Return `checkpoint` as one of `tensors`, those that are `made` from what it holds among them."""
    reader = ReaderOf(checkpoint, tensors, made=made)
    return Checkpoint(checkpoint.path, reader, checkpoint.config, {spec.name for spec in tensors})
