"""Where spaces lie in the tensors of an architecture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tli_cli.architecture import Architecture, AxisTree


@dataclass(frozen=True, slots=True)
class Place:
    """Where a space lies in a tensor: `axis`, the range `start:stop` of it, and the sizes outside and inside of the
    space."""

    tensor: str
    axis: int
    start: int
    stop: int
    outer: int
    inner: int


def places_of(architecture: Architecture) -> Mapping[AxisTree, list[Place]]:
    """Return where each space, and each product of spaces, lies in the tensors of `architecture`."""
    found: dict[AxisTree, list[Place]] = defaultdict(list)
    for spec in architecture.tensors:
        if spec.buffer or spec.tied_to:
            continue
        for axis, description in enumerate(architecture.axes.get(spec.name, ())):
            for tree, start, stop, outer, inner in _walk(architecture, description.tree, 0):
                found[tree].append(Place(spec.name, axis, start, stop, outer, inner))
    return found


def _walk(architecture: Architecture, tree: AxisTree, start: int) -> Iterator[tuple[AxisTree, int, int, int, int]]:
    size = architecture.size_of(tree)
    yield tree, start, start + size, 1, 1
    if isinstance(tree, int):
        return
    if tree[0] == "+":
        for child in tree[1:]:
            yield from _walk(architecture, child, start)
            start += architecture.size_of(child)
        return
    sizes = [architecture.size_of(child) for child in tree[1:]]
    outer = 1
    for child, child_size in zip(tree[1:], sizes, strict=True):
        inner = size // (outer * child_size)
        if isinstance(child, int):
            yield child, start, start + size, outer, inner
        outer *= child_size
