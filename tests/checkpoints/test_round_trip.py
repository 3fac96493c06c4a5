from __future__ import annotations

import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model

from tests.stored import stored_bytes
from tli_cli import inject
from tli_cli.checkpoints import Checkpoint, open_checkpoint, write_checkpoint
from tli_cli.checkpoints.writing.job import Job
from tli_cli.errors import CheckpointError

State = OrderedDict[str, torch.Tensor]


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Return whether shape, dtype and bytes are equal."""
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return False
    first, second = (t.detach().resolve_conj().contiguous().reshape(-1).view(torch.uint8) for t in (found, expected))
    return torch.equal(first, second)


def copy(checkpoint: Checkpoint, out: Path, **options: object) -> tuple[Path, ...]:
    """Write every tensor of `checkpoint` to `out`, as bytes where it can be."""
    return write_checkpoint(
        out,
        checkpoint.tensors,
        Job(lambda spec: checkpoint.file_range(spec.name) or checkpoint.read(spec.name), **options),  # type: ignore[arg-type]
    )


def check(checkpoint: Checkpoint, state: State) -> None:
    assert [spec.name for spec in checkpoint.tensors] == list(state)
    for spec in checkpoint.tensors:
        expected = state[spec.name]
        assert (spec.shape, spec.dtype) == (tuple(expected.shape), str(expected.dtype)[6:])
        assert same(checkpoint.read(spec.name), expected), spec.name
        raw = torch.tensor(list(stored_bytes(checkpoint, spec.name)), dtype=torch.uint8)
        assert torch.equal(raw, expected.detach().contiguous().reshape(-1).view(torch.uint8)), spec.name


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_gives_its_entries_in_order(tmp_path: Path, state: State, zipped: bool) -> None:
    if not zipped:
        del state["eight"]  # the old format does not know the type
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with open_checkpoint(tmp_path / "a.pt") as checkpoint:
        check(checkpoint, state)
        assert (checkpoint.order_from, checkpoint.format) == ("file", "torch")
        ties = {spec.name: spec.tied_to for spec in checkpoint.tensors if spec.tied_to}
        assert ties == {"head.weight": "stem.weight"}
        buffers = {spec.name for spec in checkpoint.tensors if spec.buffer}
        assert buffers == {"norm.running_mean", "norm.num_batches_tracked", "mask", "index", "small"}


def test_what_is_written_is_read_back_equal(tmp_path: Path, state: State) -> None:
    torch.save(state, tmp_path / "a.pt")
    source = open_checkpoint(tmp_path / "a.pt")
    (out,) = copy(source, tmp_path / "b.safetensors", notes={"note": "é"})
    written = open_checkpoint(out)
    check(written, state)
    assert written.tensors == source.tensors
    assert written.order_from == "file"
    assert written.metadata["note"] == "é"
    loaded = load_file(out)
    assert all(same(loaded[name], value) for name, value in state.items())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_what_is_written_as_a_torch_file_is_what_torch_saves(tmp_path: Path, state: State, suffix: str) -> None:
    torch.save(state, tmp_path / "a.pt")
    source = open_checkpoint(tmp_path / "a.pt")
    (out,) = copy(source, tmp_path / f"é b{suffix}", notes={"note": "é"})
    written = open_checkpoint(out)
    check(written, state)
    assert written.tensors == source.tensors
    assert written.metadata == {"note": "é"}
    for mapped in (True, False):
        loaded = torch.load(out, weights_only=True, mmap=mapped)
        assert list(loaded) == list(state)
        assert all(same(loaded[name], value) for name, value in state.items())
        assert loaded["head.weight"].data_ptr() == loaded["stem.weight"].data_ptr()


def test_a_torch_file_is_a_sound_archive_and_the_same_under_any_name(tmp_path: Path, state: State) -> None:
    torch.save(state, tmp_path / "a.pt")
    source = open_checkpoint(tmp_path / "a.pt")
    first, second = (copy(source, tmp_path / name, notes={"n": "1"})[0] for name in ("b.pt", "c.pth"))
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None
        assert any(member.CRC for member in archive.infolist() if "/data/" in member.filename)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_read_back_equal_and_in_order(tmp_path: Path, state: State, suffix: str) -> None:
    torch.save(state, tmp_path / "a.pt")
    source = open_checkpoint(tmp_path / "a.pt")
    index, *shards = copy(source, tmp_path / f"b.{suffix}", max_shard_size=100)
    assert index.name == f"b.{suffix}.index.json"
    assert [path.name for path in shards] == [
        f"b-{i + 1:05d}-of-{len(shards):05d}.{suffix}" for i in range(len(shards))
    ]
    for place in (index, tmp_path):
        if place == tmp_path:
            (tmp_path / "a.pt").unlink()
        written = open_checkpoint(place)
        check(written, state)
        kind = "safetensors" if suffix == "safetensors" else "torch"
        assert (written.order_from, written.format) == ("file", f"sharded {kind}")
        assert written.tensors == source.tensors


def test_a_foreign_safetensors_file_has_lost_its_order(tmp_path: Path) -> None:
    save_file({"b": torch.ones(2), "a": torch.zeros(3)}, tmp_path / "a.safetensors")
    checkpoint = open_checkpoint(tmp_path / "a.safetensors")
    assert checkpoint.order_from == "inferred"
    assert {spec.name for spec in checkpoint.tensors} == {"a", "b"}


def test_shared_tensors_that_safetensors_left_out_are_there_under_all_their_names(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"head": torch.nn.Linear(4, 9, bias=False), "table": torch.nn.Embedding(9, 4)})
    model["table"].weight = model["head"].weight
    save_model(model, str(tmp_path / "a.safetensors"))
    assert list(load_file(tmp_path / "a.safetensors")) == ["head.weight"]
    checkpoint = open_checkpoint(tmp_path / "a.safetensors")
    assert {spec.name: spec.tied_to for spec in checkpoint.tensors} == {
        "head.weight": None,
        "table.weight": "head.weight",
    }
    assert torch.equal(checkpoint.read("table.weight"), model["head"].weight)
    torch.save({"table.weight": torch.zeros(9, 4)}, tmp_path / "b.pt")
    plan = inject(str(tmp_path / "a.safetensors"), str(tmp_path / "b.pt"), tmp_path / "out.safetensors").plan
    assert torch.equal(load_file(tmp_path / "out.safetensors")["table.weight"], model["head"].weight)
    assert plan.unused == ()


def test_an_order_that_another_tool_rewrote_is_not_believed(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2), "a": torch.zeros(3)}
    torch.save(tensors, tmp_path / "a.pt")
    (out,) = copy(open_checkpoint(tmp_path / "a.pt"), tmp_path / "b.safetensors")
    save_file(tensors, tmp_path / "c.safetensors", metadata=open_checkpoint(out).metadata)
    assert open_checkpoint(out).order_from == "file"
    assert open_checkpoint(tmp_path / "c.safetensors").order_from == "inferred"


def test_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.bin")
    assert open_checkpoint(tmp_path / "a.bin").format == "safetensors"


def test_packed_values_are_copied_and_never_decoded(tmp_path: Path) -> None:
    import json
    import struct

    header = json.dumps({"w": {"dtype": "F4", "shape": [4, 2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\1\2\3\4")
    source = open_checkpoint(tmp_path / "a.safetensors")
    assert "packed" in source.ignored[0]
    assert source.tensors[0].buffer
    (out,) = copy(source, tmp_path / "b.safetensors")
    assert stored_bytes(open_checkpoint(out), "w") == b"\1\2\3\4"


def test_quantised_tensors_are_left_out_and_reported(tmp_path: Path) -> None:
    quantised = torch.quantize_per_tensor(torch.randn(4, 4), 0.1, 0, torch.qint8)
    torch.save({"a": torch.ones(2), "q": quantised}, tmp_path / "a.pt")
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert [spec.name for spec in checkpoint.tensors] == ["a"]
    assert checkpoint.ignored == ("q: quantised (qint8), left out: it cannot be resized or copied",)
    assert torch.equal(checkpoint.read("a"), torch.ones(2))


@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_a_layer_that_torch_quantised_is_left_out_whole(tmp_path: Path) -> None:
    codes = torch.quantize_per_tensor(torch.randn(4, 4), 0.1, 0, torch.qint8)
    ends = {"scale": torch.tensor(1.0), "zero_point": torch.tensor(0)}
    packed = {"_packed_params.dtype": torch.qint8, "_packed_params._packed_params": (codes, torch.ones(4)), **ends}
    layers = {f"fc.{end}": held for end, held in packed.items()} | {"conv.weight": codes, "conv.bias": torch.ones(4)}
    layers |= {f"{path}.{end}": held for path in ("conv", "quant", "add") for end, held in ends.items()}
    torch.save(layers | {"head.weight": torch.ones(2, 4)}, tmp_path / "a.pt")
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert [spec.name for spec in checkpoint.tensors] == ["head.weight"]
    assert checkpoint.ignored[0].startswith("fc.weight: quantised (qint8), left out")
    assert checkpoint.ignored[-1].startswith("10 tensors beside these, left out with them: add.scale, ")
    torch.save(layers | {"bn.weight": torch.ones(4)}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="layers alone that torch quantised"):
        open_checkpoint(tmp_path / "b.pt")


def test_a_configuration_beside_it_is_given(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert open_checkpoint(tmp_path).config is None
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert open_checkpoint(tmp_path).config == {"model_type": "vit"}
    (tmp_path / "config.json").write_text("[" * 100_000)
    assert open_checkpoint(tmp_path / "model.safetensors").config is None
