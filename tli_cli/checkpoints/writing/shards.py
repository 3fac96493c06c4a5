"""How a written checkpoint is split into shards, and what the files are called."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import read_small
from tli_cli.checkpoints.safetensors_file import ORDER_KEY, TIED_KEY, order_digest
from tli_cli.checkpoints.sharded import MAX_INDEX
from tli_cli.checkpoints.writing.drafts import INDEX, belongs_to
from tli_cli.dtypes import byte_count
from tli_cli.errors import CheckpointError

Shards = tuple[tuple[TensorSpec, ...], ...]


def split(tensors: Sequence[TensorSpec], limit: int | None) -> Shards:
    """Return `tensors` in shards of at most `limit` bytes, in order; a tensor larger than that has its own."""
    shards: list[list[TensorSpec]] = [[]]
    used = 0
    for spec in tensors:
        size = byte_count(spec.shape, spec.dtype)
        if limit is not None and shards[-1] and used + size > limit:
            shards.append([])
            used = 0
        shards[-1].append(spec)
        used += size
    return tuple(tuple(shard) for shard in shards)


def shard_path(target: Path, number: int, count: int) -> Path:
    """Return the name of shard `number` (from 0) of `count`, as Hugging Face counts them."""
    return target.with_name(f"{target.stem}-{number + 1:05d}-of-{count:05d}{target.suffix}")


def index_path(target: Path) -> Path:
    """Return the name of the index for `target`."""
    return target.with_name(f"{target.name}{INDEX}")


def replaced_with(target: Path) -> list[Path]:
    """Return the files that make up what is called `target` now: itself, its index, and the shards that this names."""
    index = index_path(target)
    own = re.compile(belongs_to(target))
    shards = sorted(name for name in _named(index) if own.fullmatch(name))
    paths = [target, index, *(target.with_name(name) for name in shards)]
    return [path for path in dict.fromkeys(paths) if os.path.lexists(path)]


def require_no_shard(target: Path) -> None:
    """Raise `CheckpointError` where `target` is a shard of another checkpoint, which would be broken without it."""
    if not target.exists():
        return
    for index in sorted(target.parent.glob(f"*{INDEX}")):
        if target.name in _named(index):
            raise CheckpointError(
                f"{target}: a shard of {index.name}, which would be broken without it; choose another name, or replace "
                f"that checkpoint as a whole by -o {index.name.removesuffix(INDEX)} --force"
            )


def _named(index: Path) -> set[str]:
    """Return the files that `index` names, none where it is no index."""
    try:
        named = json.loads(read_small(index, MAX_INDEX, "an index"))["weight_map"].values()
    except (CheckpointError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()
    return {name for name in named if isinstance(name, str)}


def index_bytes(shards: Shards, paths: Sequence[Path], metadata: Mapping[str, str]) -> bytes:
    """Return the index: which tensor stands in which file, in the definition's order."""
    tensors = [spec for shard in shards for spec in shard]
    notes: dict[str, object] = {**metadata, ORDER_KEY: order_digest(spec.name for spec in tensors)}
    if tied := {spec.name: spec.tied_to for spec in tensors if spec.tied_to}:
        notes[TIED_KEY] = json.dumps(tied)
    notes["total_size"] = sum(byte_count(spec.shape, spec.dtype) for spec in tensors)
    weight_map = {spec.name: path.name for shard, path in zip(shards, paths, strict=True) for spec in shard}
    return (json.dumps({"metadata": notes, "weight_map": weight_map}, indent=2) + "\n").encode()
