"""Checkpoints: opened lazily and safely whatever their format, written as a stream and atomically."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from os import fspath
from pathlib import Path
from typing import Any

from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.checkpoints.directory import find_checkpoint
from tli_cli.checkpoints.files import FileRange, read_small, sniff
from tli_cli.checkpoints.layouts.kernels import upright
from tli_cli.checkpoints.layouts.mlx import channels_first
from tli_cli.checkpoints.located import located, module_of
from tli_cli.checkpoints.no_weights import slots_among
from tli_cli.checkpoints.reader import Reader
from tli_cli.checkpoints.safetensors_file import SafetensorsFile
from tli_cli.checkpoints.sharded import ShardedCheckpoint
from tli_cli.checkpoints.tensor_parallel import require_whole
from tli_cli.checkpoints.writing.naming import require_named
from tli_cli.checkpoints.writing.writer import write_checkpoint
from tli_cli.errors import CheckpointError

__all__ = ["Checkpoint", "FileRange", "open_checkpoint", "read_config", "write_checkpoint"]

_MAX_CONFIG = 16 << 20
_CONFIGS = ("config.json", "open_clip_config.json", "params.json")
"""What libraries call the description of a model beside its weights: transformers and timm, open_clip, Meta."""


def open_checkpoint(path: Path | str, *, ema: str | None = None, expected: Collection[str] = ()) -> Checkpoint:
    """Open the checkpoint at `path`: a file, a shard index, a directory that holds one, or one module in it
    (`file.pt#encoder`).

    Only names, shapes and dtypes are read; safetensors need no torch for that. With `ema`, the averaged weights under
    that key of a torch file are taken (`any`: whichever there are). Prefixes are read so that most names are among
    those that are `expected`, and kernels as weights.

    Raises:
        CheckpointError: where there is none, it is damaged, or it is not safe to read.
    """
    given, module = located(fspath(path))
    require_named(given)
    passed_over: tuple[str, ...] = ()
    found = given
    if given.is_dir():
        found, passed_over = find_checkpoint(given)
    require_whole(found)
    checkpoint = _module(given, module, found, ema, expected) if module else _opened(given, found, ema, expected)
    checkpoint.ignored += passed_over
    return checkpoint


def _opened(given: Path, found: Path, ema: str | None, expected: Collection[str]) -> Checkpoint:
    reader = _reader(found, ema)
    if slots := slots_among(reader.tensors):
        reader.tensors = tuple(spec for spec in reader.tensors if spec.name not in slots)
        reader.ignored += (f"{min(slots)} and the like: an optimizer's state, {len(slots)} tensors",)
    beside = next((found.parent / name for name in _CONFIGS if (found.parent / name).is_file()), None)
    config = None if beside is None else read_config(beside)
    told = config or dict(getattr(reader, "settings", None) or {}) or None
    checkpoint = Checkpoint(given, reader, told, expected)
    if beside is not None and config is None:
        checkpoint.ignored += (f"{beside.name}: no object in JSON",)
    return upright(checkpoint, expected) or channels_first(checkpoint) or checkpoint


def _module(given: Path, module: str, found: Path, ema: str | None, expected: Collection[str]) -> Checkpoint:
    """Return one module of a checkpoint; a state dict of its own in a torch file is one as well."""
    try:
        return module_of(_opened(given, found, ema, ()), module, expected)
    except CheckpointError:
        if ema is None and found.suffix != ".json" and sniff(found) != "safetensors":
            with contextlib.suppress(CheckpointError):
                return _opened(given, found, module, expected)
        raise


def _reader(path: Path, ema: str | None) -> Reader:
    if path.name == ".metadata":
        from tli_cli.checkpoints.torch_files.distributed import DistributedCheckpoint

        return DistributedCheckpoint(path.parent, ema)
    if path.name.endswith(".json"):
        return ShardedCheckpoint(path)
    if sniff(path) == "safetensors":
        if ema is not None:
            raise CheckpointError(f"{path}: a safetensors file holds one set of weights; leave --ema out")
        return SafetensorsFile(path)
    from tli_cli.checkpoints.torch_files.torch_file import TorchFile

    return TorchFile(path, ema)


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the description of a model in the file at `path`; None where it is none, which is never a reason to
    stop."""
    try:
        config = json.loads(read_small(path, _MAX_CONFIG, "a model's configuration"))
    except (CheckpointError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None
