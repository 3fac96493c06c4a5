from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from tests.stored import stored_bytes
from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError


@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "anything.pt", "mp_rank_00_model_states.pt", "x.ckpt"]
)
def test_the_checkpoint_in_a_directory_is_found(tmp_path: Path, name: str) -> None:
    for beside in ("optimizer.pt", "training_args.bin", "rng_state.pth", "zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        torch.save({"x": torch.ones(1)}, tmp_path / beside)
    if name.endswith(".safetensors"):
        save_file({"a": torch.ones(2)}, tmp_path / name)
    else:
        torch.save({"a": torch.ones(2)}, tmp_path / name)
    assert [spec.name for spec in open_checkpoint(tmp_path).tensors] == ["a"]


def test_safetensors_are_preferred_and_the_other_is_reported(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    torch.save({"b": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "safetensors"
    assert checkpoint.ignored == ("pytorch_model.bin: another checkpoint in the directory, not read",)


def test_several_or_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"found none$"):
        open_checkpoint(tmp_path)
    (tmp_path / "run" / "checkpoint-5").mkdir(parents=True)
    save_file({"a": torch.ones(2)}, tmp_path / "run" / "checkpoint-5" / "model.safetensors")
    for given in (tmp_path, tmp_path / "run"):
        with pytest.raises(CheckpointError, match=r"found none; there is one in .*/run/checkpoint-5$"):
            open_checkpoint(given)
    for name in ("a.pt", "b.pt"):
        torch.save({"a": torch.ones(2)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"several checkpoints: a\.pt, b\.pt"):
        open_checkpoint(tmp_path)


def test_state_of_training_is_no_checkpoint_of_a_directory(tmp_path: Path) -> None:
    torch.save({"module": {"a": torch.ones(2)}}, tmp_path / "mp_rank_00_model_states.pt")
    torch.save({"optimizer_state_dict": {}}, tmp_path / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
    assert open_checkpoint(tmp_path).ignored == ()
    (tmp_path / "mp_rank_00_model_states.pt").unlink()
    with pytest.raises(CheckpointError, match=r"found none$"):
        open_checkpoint(tmp_path)


def test_places_below_a_directory_are_those_of_weights(tmp_path: Path) -> None:
    for place in ("recipe_state/recipe_state.pt", "optimizer_0/.metadata", "fsdp_0/.metadata", "epoch_0/last.pth.tar"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_bytes(b"")
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(tmp_path)
    assert str(error.value).endswith(f"there is one in {tmp_path / 'epoch_0'}, {tmp_path / 'fsdp_0'}")


def sharded(directory: Path, torch_files: bool) -> Path:
    """Write two shards and an index, as Hugging Face lays them out."""
    suffix, stem = ("bin", "pytorch_model") if torch_files else ("safetensors", "model")
    files = [f"{stem}-0000{i}-of-00002.{suffix}" for i in (1, 2)]
    for file, tensors in zip(files, ({"z": torch.ones(2), "b": torch.zeros(3)}, {"a": torch.ones(1)}), strict=True):
        if torch_files:
            torch.save(tensors, directory / file)
        else:
            save_file(tensors, directory / file)
    index = directory / f"{stem}.{suffix}.index.json"
    index.write_text(
        json.dumps({"metadata": {"total_size": 24}, "weight_map": {"a": files[1], "b": files[0], "z": files[0]}})
    )
    return index


@pytest.mark.parametrize("torch_files", [True, False])
def test_shards_are_one_checkpoint(tmp_path: Path, torch_files: bool) -> None:
    index = sharded(tmp_path, torch_files)
    for place in (index, tmp_path):
        checkpoint = open_checkpoint(place)
        assert {spec.name for spec in checkpoint.tensors} == {"a", "b", "z"}
        assert torch.equal(checkpoint.read("z"), torch.ones(2))
        assert checkpoint.order_from == ("file" if torch_files else "inferred")
        assert checkpoint.file_range("a") is not None
    if torch_files:
        assert [spec.name for spec in checkpoint.tensors] == ["z", "b", "a"]


def test_the_cache_of_hugging_face_may_link_to_its_blobs(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    sharded(blobs, torch_files=False)
    for file in list(blobs.iterdir()):
        (snapshot / file.name).symlink_to(file)
    assert len(open_checkpoint(snapshot).tensors) == 3


@pytest.fixture
def distributed(tmp_path: Path) -> tuple[Path, torch.nn.Module]:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optim": optimizer.state_dict(), "epoch": 3}
    dcp.save(state, checkpoint_id=tmp_path / "dcp")
    return tmp_path / "dcp", model


@pytest.mark.filterwarnings("ignore")
def test_a_distributed_checkpoint_is_read(distributed: tuple[Path, torch.nn.Module]) -> None:
    path, model = distributed
    checkpoint = open_checkpoint(path)
    assert (checkpoint.format, checkpoint.order_from) == ("distributed", "file")
    assert [spec.name for spec in checkpoint.tensors] == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(checkpoint.read(name), value)
        assert stored_bytes(checkpoint, name) == value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    assert any("optim" in line for line in checkpoint.ignored)


def test_the_latest_step_of_a_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "global_step10").mkdir()
    (tmp_path / "latest").write_text("global_step10\n")
    torch.save({"module": {"a": torch.ones(2)}}, tmp_path / "global_step10/mp_rank_00_model_states.pt")
    assert [spec.name for spec in open_checkpoint(tmp_path).tensors] == ["a"]
    for elsewhere in ("../other", "/", "gone", ""):
        (tmp_path / "latest").write_text(elsewhere)
        with pytest.raises(CheckpointError, match="found none"):
            open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_pp_rank_1_mp_rank_00_model_states.pt"], "zero_to_fp32"),
        (["last.pth.tar", "model_best.pth.tar"], "found several checkpoints: last.pth.tar, model_best.pth.tar"),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"], "without the index"),
    ],
)
def test_parts_of_one_checkpoint_are_told(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        torch.save({name: torch.ones(1)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ['{"model_type": "bert", "hidd', "[1, 2]", "\xff"])
def test_a_configuration_that_is_none_is_told_and_stops_nothing(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.config is None and checkpoint.ignored == ("config.json: no object in JSON",)
