"""Blocks and stages from module paths: the innermost repeated unit in which a layer stands, and what contains it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, Layer

NUMBERED = re.compile(r"(^|\.)\d+$")
ROW = re.compile(r"\.$|(block|layer|stage|level|group|unit|cell)s?_?$", re.I)
"""What members of a row are called within a module that is one of a row itself: a number alone, or so."""
PARALLEL = re.compile(r"(^|\.)experts?$|\d\.(.+\.)?heads$", re.I)
"""What a row is called whose members do not follow each other, such as a block's heads: they are parts of the block in
which it stands."""
WEIGHTED = (*LINEAR, "embedding", "other")


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _is_indexed(prefix: str) -> bool:
    return bool(re.search(r"\d$", prefix))


def with_blocks(layers: Sequence[Layer]) -> list[Layer]:
    """Return `layers`, each with the block and the stage that its path and the others' tell."""
    places = block_paths([layer.path for layer in layers], [layer.kind for layer in layers])
    return [replace(layer, block=block, stage=stage) for layer, (block, stage) in zip(layers, places, strict=True)]


def block_paths(paths: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Return (block, stage) for each layer path.

    A block is the outermost module that ends in an index and is no container of blocks; a container is a module
    with at least two indexed children of one name that each hold two weighted layers or more, or with one such child
    alone. What has a number for a name and children such as `conv1` and `conv2` is a block, and these are its parts.
    The stage is the container in which the block stands.
    """
    weighted: dict[str, int] = defaultdict(int)
    children: dict[str, set[str]] = defaultdict(set)
    for path, kind in zip(paths, kinds, strict=True):
        prefixes = _prefixes(path)
        for parent, prefix in zip(["", *prefixes], prefixes, strict=False):
            weighted[prefix] += kind in WEIGHTED
            children[parent].add(prefix)
    containers = _containers(children, weighted)
    return [_place(path, containers) for path in paths]


def _containers(children: dict[str, set[str]], weighted: dict[str, int]) -> set[str]:
    """Return the modules that directly or through others hold at least two indexed modules of one name and of two
    weighted layers each, one after the other, or nothing but one of them."""
    found = set()
    for parent, names in children.items():
        if PARALLEL.search(parent):
            continue
        rows = Counter(re.sub(r"\d+$", "", name) for name in names if _is_indexed(name) and weighted[name] >= 2)
        if NUMBERED.search(parent):
            rows = Counter({row: count for row, count in rows.items() if ROW.search(row)})
        if max(rows.values(), default=0) >= min(2, len(names)):
            found.add(parent)
    for parent in list(found):
        found.update(_prefixes(parent) if parent else [])
    return found


def _place(path: str, containers: set[str]) -> tuple[str, str]:
    stage = ""
    for prefix in _prefixes(path):
        if prefix not in containers:
            return (prefix, stage)
        stage = prefix
    return (path, stage)
