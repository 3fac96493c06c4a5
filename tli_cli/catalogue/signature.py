"""Signatures of architectures by which a checkpoint is recognised, whatever its head, its input and its order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tli_cli.architecture import Architecture
from tli_cli.catalogue.store import read_table

Shape = tuple[int, ...]

_WORD = 1 << 64
_LEFT_OUT = ("num_batches_tracked", "attn_mask", "position_ids")
"""Buffers that a checkpoint may or may not hold, depending on the library's version."""


@dataclass(frozen=True)
class Masks:
    """What a signature leaves out, over the whole catalogue.

    Attributes:
        heads: the names of tensors that follow `num_classes`.
        free: name -> the dimensions that follow `in_chans` or the size of the image.
        computed: the last parts of the names of buffers whose values follow from the architecture.
    """

    heads: frozenset[str]
    free: Mapping[str, tuple[int, ...]]
    computed: frozenset[str]

    def counts(self, name: str) -> bool:
        """Return whether `name` stands in a signature."""
        return name not in self.heads and name.rpartition(".")[2] not in self.computed

    def contribution(self, name: str, shape: Shape) -> int:
        """Return what one tensor adds to a signature."""
        free = self.free.get(name, ())
        dims = ",".join("*" if d in free else str(size) for d, size in enumerate(shape))
        return int.from_bytes(hashlib.blake2b(f"{name} {dims}".encode(), digest_size=8).digest(), "little")

    def signature(self, tensors: Iterable[tuple[str, Shape]]) -> int:
        """Return the sum, modulo 2 ** 64, of what the tensors add; their order does not matter."""
        return sum(self.contribution(name, shape) for name, shape in tensors if self.counts(name)) % _WORD

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {"heads": sorted(self.heads), "free": dict(sorted(self.free.items())), "computed": sorted(self.computed)}


def find_masks(architectures: Iterable[tuple[Architecture, frozenset[str], frozenset[str]]]) -> Masks:
    """Return the masks for `architectures`, each with the names of its head's and its input's tensors."""
    heads: set[str] = set()
    free: dict[str, set[int]] = {}
    computed = set(_LEFT_OUT)
    for architecture, head, stem in architectures:
        heads |= head
        for tensor in architecture.tensors:
            axes = architecture.axes.get(tensor.name, ())
            if tensor.buffer and architecture.initial.get(tensor.name, ((None,),))[0][0] == "data":
                computed.add(tensor.name.rpartition(".")[2])
            for d, axis in enumerate(axes):
                kinds = {architecture.spaces[space].kind for space in leaves(axis.tree)}
                if "grid" in kinds or (tensor.name in stem and "input" in kinds):
                    free.setdefault(tensor.name, set()).add(d)
    return Masks(frozenset(heads), {name: tuple(sorted(dims)) for name, dims in free.items()}, frozenset(computed))


def leaves(tree: Any) -> list[int]:
    """Return the spaces in `tree`."""
    return [tree] if isinstance(tree, int) else [leaf for child in tree[1:] for leaf in leaves(child)]


@lru_cache(maxsize=1)
def stored_signatures() -> tuple[Masks, Mapping[int, list[int]]]:
    """Return the catalogue's masks, and signature -> the numbers of the architectures that have it."""
    table = read_table("signatures")
    free = {name: tuple(dims) for name, dims in table["free"].items()}
    masks = Masks(frozenset(table["heads"]), free, frozenset(table["computed"]))
    return masks, {int(key, 16): numbers for key, numbers in table["signatures"].items()}


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
