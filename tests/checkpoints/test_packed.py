"""Weights within an archive: of tar, as NeMo packs them beside a model's settings, and of zip, as stable-baselines3
does beside an agent's."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from tests.stored import stored_bytes
from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError


def saved(zipped: bool = True) -> bytes:
    held = io.BytesIO()
    torch.save({"a.weight": torch.arange(6.0).reshape(2, 3)}, held, _use_new_zipfile_serialization=zipped)
    return held.getvalue()


def pack(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo("./" + name.replace("__", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_the_one_file_of_weights_is_read_where_it_stands(tmp_path: Path, zipped: bool) -> None:
    path = pack(tmp_path / "a.nemo", model_config__yaml=b"target: x\n", model_weights__ckpt=saved(zipped))
    checkpoint = open_checkpoint(path)
    assert checkpoint.read("a.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert bytes(stored_bytes(checkpoint, "a.weight")) == torch.arange(6.0).numpy().tobytes()


@pytest.mark.parametrize("members", [{}, {"a__yaml": b"x"}, {"a__ckpt": saved(), "b__ckpt": saved()}])
def test_none_or_several_are_one_message(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(CheckpointError, match=r"expected a|unpack it"):
        open_checkpoint(pack(tmp_path / "a.nemo", **members))


def test_a_member_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.nemo", a__ckpt=saved())
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


def zip_up(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_an_agents_policy_is_read_where_it_stands_in_a_zip_archive(tmp_path: Path, zipped: bool) -> None:
    state = {"data": b"{}", "pytorch_variables.pth": saved(), "policy.optimizer.pth": saved(), "_version": b"2"}
    checkpoint = open_checkpoint(zip_up(tmp_path / "agent.zip", state | {"policy.pth": saved(zipped)}))
    assert bytes(stored_bytes(checkpoint, "a.weight")) == torch.arange(6.0).numpy().tobytes()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_archive_of_several_or_packed_weights_is_one_message(tmp_path: Path, kind: int) -> None:
    members = {"policy.pth": saved()} | ({"other.pth": saved()} if kind == zipfile.ZIP_STORED else {})
    with pytest.raises(CheckpointError, match="a zip archive that holds checkpoints; unpack it"):
        open_checkpoint(zip_up(tmp_path / "agent.zip", members, kind))
