"""Blocks and stages from module paths: the innermost repeated unit in which a layer stands, and what contains it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, Layer
from tli_cli.describe.spelling import enclosing

NUMBERED = re.compile(r"(^|\.)\d+$")
ROW = re.compile(r"\.$|(block|layer|stage|level|group|unit|cell)s?_?$", re.I)
"""What members of a row are called within a module that is one of a row itself: a number alone, or so."""
PARALLEL = re.compile(r"(^|\.)experts?$|\d\.(.+\.)?heads$", re.I)
"""What a row is called whose members do not follow each other, such as a block's heads: they are parts of the block in
which it stands."""
WEIGHTED = (*LINEAR, "embedding", "other")


def with_blocks(layers: Sequence[Layer]) -> list[Layer]:
    """Return `layers`, each with the block and the stage that its path and the others' tell."""
    places = block_paths([layer.path for layer in layers], [layer.kind for layer in layers])
    return [replace(layer, block=block, stage=stage) for layer, (block, stage) in zip(layers, places, strict=True)]


def block_paths(paths: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Return (block, stage) for each layer path.

    A block is the outermost module that ends in an index and is no container of blocks; a container is a module with at
    least two indexed children of one name that each hold two weighted layers or more, or with one such child alone;
    tensors of a module's own beside its layers count as one. So is a stage with one such child beside others, where
    another stage is one. What has a number for a name and children such as `conv1` and `conv2` is a block, and these
    are its parts. The stage is the container in which the block stands.
    """
    weighted: dict[str, int] = defaultdict(int)
    children: dict[str, set[str]] = defaultdict(set)
    holders = {module for path in paths for module in enclosing(path)[:-1]}
    for path, kind in zip(paths, kinds, strict=True):
        count, parent = kind in WEIGHTED or path in holders, ""
        for module in enclosing(path):
            weighted[module] += count
            children[parent].add(module)
            parent = module
    containers = _containers(children, weighted)
    return [_place(path, containers) for path in paths]


def _containers(children: dict[str, set[str]], weighted: dict[str, int]) -> set[str]:
    """Return the modules that directly or through others hold at least two indexed modules of one name and of two
    weighted layers each, one after the other, nothing but one of them, or one as others of their own row do."""
    longest = {parent: _longest_row(parent, names, weighted) for parent, names in children.items()}
    found = {parent for parent, row in longest.items() if row >= min(2, len(children[parent]))}
    outermost = {path for path in found if not any(map(str.isdecimal, path.split(".")[:-1]))}
    stages = {_row_of(parent) for parent in outermost if _is_indexed(parent)}
    found |= {parent for parent, row in longest.items() if row and _row_of(parent) in stages}
    return found.union(*(enclosing(parent) for parent in found if parent))


def _longest_row(parent: str, names: Iterable[str], weighted: Mapping[str, int]) -> int:
    """Return how many children of a module have one name and a number, and hold two weighted layers or more."""
    indexed = [name for name in names if _is_indexed(name) and weighted[name] >= 2]
    if not indexed or PARALLEL.search(parent):
        return 0
    rows = Counter(map(_row_of, indexed))
    return max((count for row, count in rows.items() if not NUMBERED.search(parent) or ROW.search(row)), default=0)


def _row_of(path: str) -> str:
    return re.sub(r"\d+$", "", path)


def _is_indexed(path: str) -> bool:
    return path[-1:].isdecimal()


def _place(path: str, containers: set[str]) -> tuple[str, str]:
    stage = ""
    for module in enclosing(path):
        if module not in containers:
            return (module, stage)
        stage = module
    return (path, stage)
