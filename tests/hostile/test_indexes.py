from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import MetadataIndex

from tli_cli.checkpoints import open_checkpoint
from tli_cli.checkpoints.torch_files.dcp_metadata import Chunk
from tli_cli.checkpoints.torch_files.distributed import _overlap
from tli_cli.errors import CheckpointError

Refuses = Callable[..., str]

SHARD = "model-00001-of-00001.safetensors"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with one shard, and beside the directory a file that an index must not reach."""
    home = tmp_path / "home"
    home.mkdir()
    save_file({"a": torch.ones(2)}, home / SHARD)
    save_file({"a": torch.ones(2)}, tmp_path / "secret.safetensors")
    (home / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    (home / "far").symlink_to(tmp_path)
    (home / "loop.safetensors").symlink_to(home / "loop.safetensors")
    (home / "directory.safetensors").mkdir()
    return home


def index(home: Path, content: Any) -> Path:
    path = home / "model.safetensors.index.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize(
    "shard",
    [
        "../secret.safetensors",
        "./../secret.safetensors",
        "far/secret.safetensors",
        "link.safetensors",
        "loop.safetensors",
        "directory.safetensors",
        "missing.safetensors",
        "..",
        ".",
        "",
        "a\0b",
        "\ud800",
        "a\x1b[2J",
        "..\\secret.safetensors",
        "C:secret.safetensors",
        "file:///etc/passwd",
        "x" * 5000,
    ],
)
def test_a_shard_index_may_only_name_files_beside_it(home: Path, refuses: Refuses, shard: str) -> None:
    refuses(index(home, {"weight_map": {"a": shard}}))


def test_not_even_by_an_absolute_path(home: Path, tmp_path: Path, refuses: Refuses) -> None:
    refuses(index(home, {"weight_map": {"a": str(tmp_path / "secret.safetensors")}}))
    refuses(index(home, {"weight_map": {"a": str(home / SHARD)}}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"weight_map": ' * 100_000,
        [],
        {},
        {"weight_map": {}},
        {"weight_map": []},
        {"weight_map": {"a": 5}},
        {"weight_map": {"a": None}},
        {"weight_map": {"a": [SHARD]}},
        {"weight_map": {"a": SHARD, "nowhere": SHARD}},
        f'{{"weight_map": {{"a": "{SHARD}", "a": "{SHARD}"}}}}'.encode(),
    ],
)
def test_a_broken_index_is_refused(home: Path, refuses: Refuses, content: Any) -> None:
    refuses(index(home, content))


def test_tensors_that_no_shard_holds_are_all_named(home: Path, refuses: Refuses) -> None:
    refuses(index(home, {"weight_map": {"a": SHARD, "b": SHARD, "c": SHARD}}), "'b'", "'c'", SHARD)


def test_a_pickle_among_the_shards_is_refused(home: Path, refuses: Refuses, canary: Path) -> None:
    import os

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {canary}",)

    torch.save({"a": torch.ones(2), "b": Payload()}, home / "pickle.safetensors")
    with pytest.raises(CheckpointError, match=r"pickle\.safetensors"):
        open_checkpoint(index(home, {"weight_map": {"a": "pickle.safetensors"}}))
    assert not canary.exists()


@pytest.fixture
def distributed(tmp_path: Path) -> Path:
    dcp.save({"model": {"a": torch.ones(2, 3), "b": torch.zeros(4)}}, checkpoint_id=tmp_path / "dcp")
    return tmp_path / "dcp"


def rewrite(path: Path, change: Callable[[Any], None]) -> None:
    metadata = pickle.loads((path / ".metadata").read_bytes())
    change(metadata)
    (path / ".metadata").write_bytes(pickle.dumps(metadata))


def set_storage(**fields: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        for info in metadata.storage_data.values():
            for name, value in fields.items():
                setattr(info, name, value)

    return change


def set_tensor(**fields: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        for name, value in fields.items():
            setattr(metadata.state_dict_metadata["model.a"], name, value)

    return change


def chunk(**fields: Any) -> Callable[[Any], None]:
    def change(metadata: Any) -> None:
        for name, value in fields.items():
            setattr(metadata.state_dict_metadata["model.a"].chunks[0], name, value)

    return change


def one_chunk_twice(metadata: Any) -> None:
    tensor = metadata.state_dict_metadata["model.a"]
    tensor.size, tensor.chunks = torch.Size([4, 3]), tensor.chunks * 2


def chunks_in_part(metadata: Any) -> None:
    """Say that `a`, of two rows, is two chunks of one and a half of three columns, the second over the first."""
    tensor = metadata.state_dict_metadata["model.a"]
    first = tensor.chunks[0]
    second = type(first)(torch.Size([0, 1]), torch.Size([2, 1]))
    first.sizes = torch.Size([2, 2])
    tensor.chunks = [first, second]
    index = next(key for key in metadata.storage_data if key.fqn == "model.a")
    metadata.storage_data[MetadataIndex("model.a", torch.Size([0, 1]))] = metadata.storage_data[index]


CHANGES: dict[str, Callable[[Any], None]] = {
    "one chunk over part of another": chunks_in_part,
    "one chunk twice": one_chunk_twice,
    "a file elsewhere": set_storage(relative_path="../secret"),
    "an absolute file": set_storage(relative_path="/etc/passwd"),
    "a missing file": set_storage(relative_path="nothing.distcp"),
    "an offset beyond": set_storage(offset=1 << 40),
    "a negative offset": set_storage(offset=-5),
    "a length beyond": set_storage(length=1 << 40),
    "a length too short": set_storage(length=3),
    "another part of the file": set_storage(offset=1, length=100),
    "a text as offset": set_storage(offset="x"),
    "compressed": set_storage(transform_descriptors=["zstd"]),
    "a larger shape": set_tensor(size=torch.Size([1 << 20, 1 << 20])),
    "a smaller shape": set_tensor(size=torch.Size([1, 3])),
    "another number of axes": set_tensor(size=torch.Size([6])),
    "no chunks": set_tensor(chunks=[]),
    "a chunk outside": chunk(sizes=torch.Size([3, 3])),
    "an unknown chunk": chunk(offsets=torch.Size([1, 0])),
    "no storage": lambda metadata: metadata.storage_data.clear(),
    "nothing": lambda metadata: metadata.state_dict_metadata.clear(),
    "other keys": lambda metadata: setattr(metadata, "storage_data", {MetadataIndex("x"): 1}),
    "a text as type": lambda metadata: setattr(metadata.state_dict_metadata["model.a"].properties, "dtype", "float"),
    "a list": lambda metadata: setattr(metadata, "state_dict_metadata", [1]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CHANGES)
def test_distributed_metadata_that_lies_is_refused(distributed: Path, refuses: Refuses, kind: str) -> None:
    rewrite(distributed, CHANGES[kind])
    refuses(distributed)


def test_chunks_overlap_where_two_hold_the_same_element() -> None:
    def chunk(*bounds: tuple[int, int]) -> Chunk:
        offsets, sizes = (tuple(b[0] for b in bounds), tuple(b[1] for b in bounds)) if bounds else ((), ())
        return Chunk(offsets, sizes, "file", 0, 1)

    grid = [chunk((i, 2), (j, 3)) for i in (0, 2, 4) for j in (0, 3)]
    assert not _overlap(grid) and not _overlap([chunk()]) and _overlap([chunk(), chunk()])
    assert not _overlap([chunk((0, 3)), chunk((3, 3)), chunk((1, 0))]) and _overlap([chunk((0, 3)), chunk((2, 3))])
    assert all(_overlap([*grid, chunk((i, 1), (j, 1))]) for i in range(6) for j in range(6))
    many = [chunk((i, 1), (0, 8)) for i in range(20_000)]
    start = time.perf_counter()
    assert not _overlap(many) and time.perf_counter() - start < 5


@pytest.mark.filterwarnings("ignore")
def test_distributed_metadata_runs_no_code(distributed: Path, refuses: Refuses, canary: Path) -> None:
    import os

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {canary}",)

    metadata = pickle.loads((distributed / ".metadata").read_bytes())
    metadata.planner_data = None
    (distributed / ".metadata").write_bytes(pickle.dumps([metadata, Payload()]))
    refuses(distributed, "system")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keep", [0, 10, 200])
def test_truncated_distributed_files_are_refused(distributed: Path, refuses: Refuses, keep: int) -> None:
    for file in distributed.glob("*.distcp"):
        file.write_bytes(file.read_bytes()[:keep])
    refuses(distributed)
