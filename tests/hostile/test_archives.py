from __future__ import annotations

import io
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError

Refuses = Callable[..., str]


def saved(value: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def repacked(data: bytes, change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return the archive with every record changed; None leaves it out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return buffer.getvalue()


STATE = OrderedDict([("a", torch.ones(40)), ("b", torch.zeros(3, 5))])


def test_truncated_archives_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    whole = saved(STATE)
    path = tmp_path / "a.pt"
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        refuses(path)


def test_truncated_old_files_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    whole = saved(STATE, _use_new_zipfile_serialization=False)
    path = tmp_path / "a.pt"
    for length in range(0, len(whole), 23):
        path.write_bytes(whole[:length])
        refuses(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_flipped_bits_are_refused_or_harmless(tmp_path: Path, zipped: bool) -> None:
    whole = saved(STATE, _use_new_zipfile_serialization=zipped)
    path = tmp_path / "a.pt"
    for i in range(0, len(whole), 7):
        path.write_bytes(bytes([*whole[:i], whole[i] ^ (1 << (i % 8)), *whole[i + 1 :]]))
        try:
            checkpoint = open_checkpoint(path)
            for spec in checkpoint.tensors:
                checkpoint.read(spec.name)
        except CheckpointError:
            pass


def test_compressed_records_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(repacked(saved(STATE), lambda _, content: content, zipfile.ZIP_DEFLATED))
    refuses(path, "compressed")


def test_an_archive_repacked_without_compression_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(repacked(saved(STATE), lambda _, content: content))
    checkpoint = open_checkpoint(path)
    assert all(torch.equal(checkpoint.read(name), value) for name, value in STATE.items())


def test_a_packed_archive_that_is_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(repacked(saved(STATE), lambda _, content: content))
    checkpoint = open_checkpoint(path)
    assert all(checkpoint.file_range(name) is not None for name in STATE)
    assert all(torch.equal(checkpoint.read(name), value) for name, value in STATE.items())
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="changed while it was read"):
        checkpoint.read("a")


def test_records_shorter_than_the_shape_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(repacked(saved(STATE), lambda name, content: content[:8] if "/data/" in name else content))
    refuses(path, "a: its shape (40,)", "claims 160 bytes", "holds 8")


def test_missing_records_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(repacked(saved(STATE), lambda name, content: None if "/data/" in name else content))
    refuses(path)


def test_big_endian_archives_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(repacked(saved(STATE), lambda name, content: b"big" if name.endswith("byteorder") else content))
    refuses(path, "big-endian")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["archive/data.pkl", "archive/data/0", "ARCHIVE/Data.PKL"])
@pytest.mark.parametrize("first", [True, False])
def test_a_record_that_is_there_twice_is_refused(tmp_path: Path, refuses: Refuses, name: str, first: bool) -> None:
    path = tmp_path / "archive.pt"
    torch.save(STATE, path)
    whole, other = path.read_bytes(), b"\x80\x02}."
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(path, "w") as new:
        held = [(member, old.read(member)) for member in old.namelist()]
        for member, content in [(name, other), *held] if first else [*held, (name, other)]:
            new.writestr(member, content)
    refuses(path, "twice")


@pytest.mark.parametrize(
    "names",
    [[], ["a.txt"], ["x/y.npy"], ["archive/data.pkl/x"], ["archive/constants.pkl"], ["a/code/b.py", "a/data.pkl"]],
)
def test_other_zip_archives_are_refused(tmp_path: Path, refuses: Refuses, names: list[str]) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "hello")
    refuses(path)


def test_a_claimed_size_of_a_record_is_checked(tmp_path: Path, refuses: Refuses) -> None:
    whole = bytearray(saved(STATE))
    central = whole.rindex(b"PK\x01\x02")
    while central >= 0:
        whole[central + 20 : central + 28] = struct.pack("<II", 0x7FFFFFF0, 0x7FFFFFF0)
        central = whole.rfind(b"PK\x01\x02", 0, central)
    path = tmp_path / "a.pt"
    path.write_bytes(whole)
    refuses(path)


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        b"<!DOCTYPE html><html>not found</html>",
        b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
        b"GGUF" + b"\0" * 100,
        b"\x93NUMPY" + b"\0" * 100,
        b"\x1f\x8b" + b"\0" * 100,
        b"plain text\n" * 40,
        b"\0" * 1000,
        b"x",
        b"PK\x03\x04",
        b"PK\x03\x04" + b"\0" * 1000,
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".bin"])
def test_files_of_another_kind_are_refused(tmp_path: Path, refuses: Refuses, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    refuses(path)


def test_old_tar_files_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    import tarfile

    path = tmp_path / "a.pt"
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            (tmp_path / name).write_bytes(b"\x80\x02K\x01.")
            archive.add(tmp_path / name, name)
    refuses(path)
