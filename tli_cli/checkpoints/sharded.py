"""Checkpoints in several files, in Hugging Face's layout: an index beside its shards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange, beside, read_small, sniff
from tli_cli.checkpoints.reader import Reader, with_ties
from tli_cli.checkpoints.safetensors_file import ORDER_KEY, SafetensorsFile, order_digest, tied_names
from tli_cli.decoding import without_duplicates
from tli_cli.errors import CheckpointError, join_problems

if TYPE_CHECKING:
    import torch

MAX_INDEX = 256 << 20


class ShardedCheckpoint:
    """An index (`*.index.json`) and the shards beside it; shards are read where they are needed."""

    def __init__(self, path: Path) -> None:
        weight_map, self.metadata = _read_index(path)
        shards = {name: _open_shard(path, name) for name in sorted(set(weight_map.values()))}
        self.format = f"sharded {next(iter(shards.values())).format}" if shards else "sharded"
        specs = {name: {spec.name: spec for spec in shard.tensors} for name, shard in shards.items()}
        _require_all(path, weight_map, specs)
        self._readers: dict[str, Reader] = {name: shards[shard] for name, shard in weight_map.items()}
        self.order_from, names = _order(weight_map, shards, self.metadata)
        self.tensors = with_ties([specs[weight_map[name]][name] for name in names], tied_names(self.metadata))
        extra = sorted(name for shard, held in specs.items() for name in held if weight_map.get(name) != shard)
        self.ignored = tuple(line for shard in shards.values() for line in shard.ignored) + tuple(
            f"{name}: in a shard, but not in the index" for name in extra
        )

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor stored as `name`, on the CPU."""
        return self._readers[name].read(name)

    def file_range(self, name: str) -> FileRange | None:
        """Return where the contiguous bytes of `name` stand."""
        return self._readers[name].file_range(name)


def _read_index(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    try:
        text = read_small(path, MAX_INDEX, "an index").decode()
        raw: Any = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected an index in JSON, found {str(error)[:99]}; get it again") from error
    weight_map = raw.get("weight_map") if isinstance(raw, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        is_plan = isinstance(raw, dict) and "steps" in raw
        found = "a plan; --plan carries it out" if is_plan else f"none; a model's configuration is named hf:{path}"
        raise CheckpointError(f"{path}: expected an index with a `weight_map` of names to files, found {found}")
    for name, shard in weight_map.items():
        if not isinstance(shard, str):
            raise CheckpointError(f"{path}: weight_map: {name!r}: expected a file's name, found {type(shard).__name__}")
    metadata = raw.get("metadata")
    notes = metadata if isinstance(metadata, dict) else {}
    return weight_map, {key: value for key, value in notes.items() if isinstance(value, str)}


def _open_shard(index: Path, name: str) -> Reader:
    path = beside(index.parent, name, index)
    if sniff(path) == "safetensors":
        return SafetensorsFile(path)
    from tli_cli.checkpoints.torch_files.torch_file import TorchFile

    return TorchFile(path)


def _require_all(path: Path, weight_map: Mapping[str, str], specs: Mapping[str, Mapping[str, TensorSpec]]) -> None:
    missing = [f"{name!r} is not in {shard}" for name, shard in weight_map.items() if name not in specs[shard]]
    if missing:
        raise CheckpointError(join_problems(f"{path}: the index names tensors that its shards do not hold:", missing))


def _order(
    weight_map: Mapping[str, str], shards: Mapping[str, Reader], metadata: Mapping[str, str]
) -> tuple[str, list[str]]:
    if metadata.get(ORDER_KEY) == order_digest(weight_map):
        return "file", list(weight_map)
    names = [spec.name for file, shard in shards.items() for spec in shard.tensors if weight_map.get(spec.name) == file]
    known = all(shard.order_from == "file" for shard in shards.values())
    return ("file" if known else "inferred"), names
