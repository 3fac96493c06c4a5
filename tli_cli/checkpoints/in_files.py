"""What stands in a library's files for the tensors that its classes have: other names, or parts such as experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Part:
    """A tensor of a file that holds some elements of a model's tensor.

    `offset` and `stride` say which, in elements of the model's tensor, as `torch.as_strided` takes them.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    stride: tuple[int, ...]

    @classmethod
    def whole(cls, name: str, shape: tuple[int, ...]) -> Part:
        """Return all of a model's tensor of `shape`, under another name."""
        return cls(name, shape, 0, tuple(prod(shape[dim + 1 :]) for dim in range(len(shape))))

    @property
    def in_one_piece(self) -> bool:
        """Whether its elements are neighbours in the model's tensor, in the same order."""
        return all(
            size == 1 or step == prod(self.shape[dim + 1 :])
            for dim, (size, step) in enumerate(zip(self.shape, self.stride, strict=True))
        )


@dataclass(frozen=True)
class InFiles:
    """What stands in files for a model's tensor of `shape`."""

    shape: tuple[int, ...]
    parts: tuple[Part, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the parts, which do not overlap, are all of it."""
        return bool(self.parts) and sum(prod(part.shape) for part in self.parts) == prod(self.shape)

    @property
    def is_whole(self) -> bool:
        """Whether it stands there as it is, under another name at most."""
        return self.parts[0].shape == self.shape and self.parts[0].in_one_piece


Layouts = Mapping[str, InFiles]
"""What stands in files for the tensors that have another name there, or another form."""


def names_in_files(layouts: Layouts) -> dict[str, str]:
    """Return the other names of the tensors that stand in files as they are."""
    return {name: held.parts[0].name for name, held in layouts.items() if held.is_whole}
