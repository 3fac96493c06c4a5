"""The metadata of torch.distributed.checkpoint: a pickle, read with inert stand-ins for the classes that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tli_cli.checkpoints.files import read_small
from tli_cli.checkpoints.stand_ins import Inert, as_dict, as_sizes
from tli_cli.checkpoints.torch_files.pickles import MAX_PICKLE, load_allowed
from tli_cli.dtypes import SAFETENSORS_CODES
from tli_cli.errors import CheckpointError

_TYPES = (*SAFETENSORS_CODES, "complex128")
_MODULE = "torch.distributed.checkpoint.metadata"


@dataclass(frozen=True)
class Chunk:
    """Part of a tensor: `sizes` elements from `offsets` on, saved in `length` bytes of `file` from `start` on."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    start: int
    length: int


@dataclass(frozen=True)
class StoredTensor:
    """One tensor: its whole `size`, its dtype and the chunks that it was saved in."""

    size: tuple[int, ...]
    dtype: str
    chunks: tuple[Chunk, ...]


class _Tensor(Inert):
    pass


class _Bytes(Inert):
    pass


def _allowed() -> dict[str, Any]:
    names = (
        "Metadata",
        "TensorProperties",
        "ChunkStorageMetadata",
        "MetadataIndex",
        "_MEM_FORMAT_ENCODING",
        "StorageMeta",
    )
    inert = {f"{_MODULE}.{name}": Inert for name in names}
    types = {f"torch.{name}": name for name in _TYPES}
    return {
        **inert,
        **types,
        f"{_MODULE}.TensorStorageMetadata": _Tensor,
        f"{_MODULE}.BytesStorageMetadata": _Bytes,
        "torch.distributed.checkpoint.filesystem._StorageInfo": Inert,
        "torch.serialization._get_layout": Inert,
        "torch.Size": as_sizes,
        "collections.OrderedDict": as_dict,
        "pathlib.PosixPath": Inert,
        "pathlib.WindowsPath": Inert,
        "pathlib.PurePosixPath": Inert,
        "pathlib._local.PosixPath": Inert,
    }


def read_metadata(path: Path) -> tuple[dict[str, StoredTensor], dict[str, tuple[Any, ...]]]:
    """Return the tensors by name, and for each the keys under which it was saved.

    Raises:
        CheckpointError: where the metadata is damaged or asks for anything but what a checkpoint needs.
    """
    root = load_allowed(read_small(path, MAX_PICKLE, "a distributed checkpoint's metadata"), _allowed(), str(path))
    try:
        chunks = {
            (_text(index.held["fqn"]), _sizes(index.held.get("offset") or ())): info.held
            for index, info in root.held["storage_data"].items()
        }
        tensors = {
            str(name): _stored(f"{path}: {name}", str(name), entry, chunks)
            for name, entry in root.held["state_dict_metadata"].items()
            if isinstance(entry, _Tensor)
        }
        planned = root.held.get("planner_data")
        planned = planned if isinstance(planned, dict) else {}
        return tensors, {name: keys for name, keys in planned.items() if name in tensors and _is_path(keys)}
    except CheckpointError:
        raise
    except Exception as error:  # the pickle decides what is where, so anything can be amiss
        raise CheckpointError(
            f"{path}: expected the metadata of a distributed checkpoint, found something else "
            f"({type(error).__name__}: {str(error)[:120]}); save it again, or convert it to safetensors"
        ) from error


def _stored(where: str, name: str, entry: Inert, chunks: dict[tuple[str, tuple[int, ...]], Any]) -> StoredTensor:
    dtype = entry.held["properties"].args[0][0]
    if dtype not in _TYPES:
        raise ValueError("no element type")
    found = []
    for chunk in entry.held["chunks"]:
        offsets, sizes = _sizes(chunk.held["offsets"]), _sizes(chunk.held["sizes"])
        info = chunks[name, offsets]
        if info.get("transform_descriptors"):
            raise CheckpointError(f"{where}: its chunks are compressed; save the checkpoint without transforms")
        file, start, length = _text(info["relative_path"]), int(info["offset"]), int(info["length"])
        found.append(Chunk(offsets, sizes, file, start, length))
    return StoredTensor(_sizes(entry.held["size"]), dtype, tuple(found))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("names must be texts")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(isinstance(size, int) and size >= 0 for size in value):
        raise ValueError("sizes must be non-negative integers")
    return value


def _is_path(keys: Any) -> bool:
    return isinstance(keys, tuple) and bool(keys) and all(isinstance(key, str | int) for key in keys)
