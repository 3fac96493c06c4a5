"""Signatures of architectures by which a checkpoint is recognised, whatever its head, its input and its order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tli_cli.architecture import Architecture
from tli_cli.catalogue.store import read_table
from tli_cli.describe.spaces import leaves

Shape = tuple[int, ...]

WORD = 1 << 64
LEFT_OUT = ("num_batches_tracked", "attn_mask", "position_ids")
"""Buffers that a checkpoint may or may not hold, depending on the library's version."""


@dataclass(frozen=True)
class Masks:
    """What a signature leaves out, over the whole catalogue.

    Attributes:
        heads: the names of tensors that follow `num_classes`.
        inputs: name -> the dimensions that follow `in_chans`.
        grids: name -> the dimensions that follow the size of the image.
        computed: the last parts of the names of buffers whose values follow from the architecture.
    """

    heads: frozenset[str]
    inputs: Mapping[str, tuple[int, ...]]
    grids: Mapping[str, tuple[int, ...]]
    computed: frozenset[str]

    def counts(self, name: str) -> bool:
        """Return whether `name` stands in a signature."""
        return name not in self.heads and name.rpartition(".")[2] not in self.computed

    def contribution(self, name: str, shape: Shape, *, any_image: bool = True) -> int:
        """Return what one tensor adds to a signature; with `any_image`, whatever the size of the image."""
        free = self.inputs.get(name, ()) + (self.grids.get(name, ()) if any_image else ())
        dims = [-1 if d in free else size for d, size in enumerate(shape)] if free else shape
        return int.from_bytes(hashlib.blake2b(f"{name} {list(dims)}".encode(), digest_size=8).digest(), "little")

    def signature(self, tensors: Iterable[tuple[str, Shape]]) -> int:
        """Return the sum, modulo 2 ** 64, of what the tensors add; their order does not matter."""
        return sum(self.contribution(name, shape) for name, shape in tensors if self.counts(name)) % WORD

    def image(self, tensors: Iterable[tuple[str, Shape]]) -> int:
        """Return a number that tells the sizes of the image apart, of tensors that have one signature."""
        sized = ((name, shape) for name, shape in tensors if name in self.grids and self.counts(name))
        return sum(self.contribution(name, shape, any_image=False) for name, shape in sized) % (1 << 32)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {
            "heads": sorted(self.heads),
            "inputs": dict(sorted(self.inputs.items())),
            "grids": dict(sorted(self.grids.items())),
            "computed": sorted(self.computed),
        }


@lru_cache(maxsize=1)
def stored_signatures() -> tuple[Masks, Mapping[int, list[list[int]]]]:
    """Return the catalogue's masks, and signature -> number and image of each architecture, the plainest name first."""
    table = read_table("signatures")
    inputs, grids = ({n: tuple(d) for n, d in table[key].items()} for key in ("inputs", "grids"))
    masks = Masks(frozenset(table["heads"]), inputs, grids, frozenset(table["computed"]))
    return masks, {int(key, 16): found for key, found in table["signatures"].items()}


def followers(row: Mapping[str, Any], architecture: Architecture, option: str) -> frozenset[str]:
    """Return the names of the tensors of `architecture`, decoded from `row`, of which a dimension follows `option`."""
    if option not in row["growth"]:
        return frozenset()
    _, spaces, dims = row["growth"][option]
    grown = {space for space, _ in spaces}
    by_axis = {
        name for name, axes in architecture.axes.items() if any(grown.intersection(leaves(axis.tree)) for axis in axes)
    }
    return frozenset(by_axis | {architecture.tensors[i].name for i, _, _ in dims})
