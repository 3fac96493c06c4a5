"""Writing directories of torch.distributed.checkpoint: a file of each rank's tensors, and the metadata that names them.

The format is torch's own (`torch.distributed.checkpoint.FileSystemReader` loads it): each tensor is one chunk, saved by
`torch.save` at an offset of its rank's file; `.metadata` is a pickle of the metadata's classes.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.notes import NOTES
from tli_cli.checkpoints.writing.contents import content_of
from tli_cli.checkpoints.writing.directories import pending_directory, write_whole
from tli_cli.checkpoints.writing.job import Job
from tli_cli.dtypes import PACKED
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

Place = tuple[str, int, int]
"""The file, offset and length of one tensor."""


def write_distributed(out: Path, tensors: Sequence[TensorSpec], job: Job) -> tuple[Path, ...]:
    """Write `tensors` to the directory `out`, each rank its share, and return the files.

    The directory gets its name when all of it is there.

    Raises:
        CheckpointError: where `out` exists and is not to be replaced, cannot be written, or a type cannot be saved.
    """
    if packed := [spec.name for spec in tensors if spec.dtype in PACKED]:
        raise CheckpointError(f"{packed[0]}: packed values have no place in this format; write .safetensors")
    ranks = job.ranks
    with pending_directory(out, ranks, force=job.force, require_own=lambda: _require_own(out)) as draft:
        with ranks.step():
            places = _write_share(draft, tensors[ranks.rank :: ranks.count], job)
        gathered = {name: place for share in ranks.gathered(places) for name, place in share.items()}
        with ranks.step():
            if ranks.is_first:
                write_whole(draft / NOTES, json.dumps(dict(job.notes), indent=1).encode())
                write_whole(draft / ".metadata", _metadata(tensors, gathered))
    return tuple(sorted(path for path in out.iterdir()))


def _require_own(out: Path) -> None:
    if not (out.is_dir() and (out / ".metadata").is_file()):
        raise CheckpointError(f"{out}: is no distributed checkpoint and is not replaced; choose another name")


def _write_share(draft: Path, share: Sequence[TensorSpec], job: Job) -> dict[str, Place]:
    places: dict[str, Place] = {}
    name = f"__{job.ranks.rank}_0.distcp"
    with (draft / name).open("xb") as file:
        for spec in share:
            start = file.tell()
            _save(_tensor(spec, job.produce(spec)), file)
            places[spec.name] = (name, start, file.tell() - start)
            job.done(spec)
        file.flush()
        os.fsync(file.fileno())
    return places


def _save(value: torch.Tensor, file: BinaryIO) -> None:
    """Append `value` to `file`; raise what stopped torch (a full disk, an interrupt), which it hides behind an error of
    its own."""
    import torch

    try:
        torch.save(value, file)
    except RuntimeError as error:
        if error.__context__ is not None:
            raise error.__context__ from None
        raise


def _tensor(spec: TensorSpec, value: Any) -> torch.Tensor:
    import torch

    content = content_of(spec, value)
    data = torch.empty(content.length, dtype=torch.uint8)
    content.fill(0, data.numpy().data)
    return data.view(getattr(torch, spec.dtype)).reshape(spec.shape)


def _metadata(tensors: Sequence[TensorSpec], places: Mapping[str, Place]) -> bytes:
    import torch
    from torch.distributed.checkpoint import metadata as torchs
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    described: dict[str, Any] = {}
    stored = {}
    for spec in tensors:
        start, size = torch.Size([0] * len(spec.shape)), torch.Size(spec.shape)
        properties = torchs.TensorProperties(dtype=getattr(torch, spec.dtype))
        described[spec.name] = torchs.TensorStorageMetadata(
            properties, size, [torchs.ChunkStorageMetadata(start, size)]
        )
        stored[torchs.MetadataIndex(spec.name, start, 0)] = _StorageInfo(*places[spec.name])
    names = {spec.name: (spec.name,) for spec in tensors}
    return pickle.dumps(torchs.Metadata(described, planner_data=names, storage_data=stored))
