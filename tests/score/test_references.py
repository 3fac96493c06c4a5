"""A score depends on names and shapes alone: not on values, not on whether a file or a name says them, not on torch."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.models import NETS
from tests.score.conftest import Tli, matrix_of, write_header
from tli_cli import api, catalogue
from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.options import Options

NET = "timm:mobilenetv3_small_050"
OTHER = "timm:resnet10t"


@pytest.mark.parametrize("matcher", ["dp", "path"])
def test_a_file_scores_as_the_name_that_it_is_recognised_by(matcher, tmp_path):
    file = str(write_header(catalogue.load(NET), tmp_path / "net.safetensors"))
    options = Options(matcher=matcher)
    assert api.score(file, NET, options=options).mean == 1
    for one, other in ((file, OTHER), (OTHER, file)):
        by_file, by_name = (api.score(*pair, options=options) for pair in ((one, other), names_of(one, other)))
        assert (by_file.forward, by_file.backward) == (by_name.forward, by_name.backward)
        assert by_file.worst == by_name.worst


def names_of(*references: str) -> tuple[str, ...]:
    return tuple(NET if reference.endswith(".safetensors") else reference for reference in references)


def test_names_with_prefixes_and_torch_files_score_as_well(tmp_path):
    prefixed = write_header(catalogue.load(NET), tmp_path / "ddp.safetensors", lambda name: f"module._orig_mod.{name}")
    assert api.score(str(prefixed), NET).mean == 1
    state = {
        spec.name: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in catalogue.load(NET).tensors
    }
    torch.save({"model": state, "epoch": 3}, tmp_path / "net.pt")
    assert api.score(str(tmp_path / "net.pt"), NET).mean == 1
    assert api.score(str(tmp_path / "net.pt"), OTHER).forward == api.score(NET, OTHER).forward


def test_a_file_that_is_not_recognised_scores_as_its_architecture_with_source_arch(tmp_path):
    (tmp_path / "nets.py").write_text("from tests.models import NETS\n\ndef net(): return NETS['resnet']()\n")
    save_file(NETS["resnet"]().state_dict(), tmp_path / "bare.safetensors")
    reference, file = f"{tmp_path / 'nets.py'}:net", str(tmp_path / "bare.safetensors")
    shape = Options(input_shape=(3, 8, 8))
    told = Options(input_shape=(3, 8, 8), source_arch=reference)
    assert api.score(file, reference, options=told).mean == 1
    for target in (OTHER, reference):
        by_file, by_class = api.score(file, target, options=told), api.score(reference, target, options=shape)
        assert (by_file.forward, by_file.backward) == (by_class.forward, by_class.backward)


def test_values_are_not_read(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a value was read")

    for name in ("read", "read_bytes", "read_part"):
        if hasattr(Checkpoint, name):
            monkeypatch.setattr(Checkpoint, name, refuse)
    file = str(write_header(catalogue.load(NET), tmp_path / "net.safetensors"))
    torch.save(NETS["resnet"]().state_dict(), tmp_path / "net.pt")
    api.score(file, str(tmp_path / "net.pt"))
    api.matrix([file, str(tmp_path / "net.pt"), OTHER])
    api.rank(NET, [str(tmp_path)])


def test_a_file_larger_than_memory_takes_no_longer(tmp_path):
    names = [f"blocks.{i}.fc.weight" for i in range(40)]
    tensors = tuple(TensorSpec(name, (1 << 16, 1 << 16)) for name in names)
    layers = tuple(Layer(name.removesuffix(".weight"), "linear", (("weight", name),)) for name in names)
    file = str(write_header(Architecture(tensors=tensors, layers=layers), tmp_path / "huge.safetensors"))
    assert Path(file).stat().st_size > 6e11
    begun = time.monotonic()
    assert api.score(file, file).mean == 1
    assert time.monotonic() - begun < 20


def test_names_and_safetensors_are_scored_and_ranked_without_torch(zoo):
    for arguments in (
        ("score", NET, str(zoo / "c.safetensors"), OTHER, "--json"),
        ("rank", NET, str(zoo), "timm:mobilenetv3_small_0*", "--json"),
    ):
        code = "import sys; sys.modules['torch'] = None\nfrom tli_cli.cli import run\nsys.exit(run(sys.argv[1:]))"
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_a_file_is_one_with_its_name_in_a_matrix(tli: Tli, zoo):
    names, values = matrix_of(tli("score", zoo / "a.safetensors", "resnet18", "timm:resnet18", OTHER, "--json")[0])
    assert len(names) == 4 and values[0] == values[1] == values[2]
    assert [row[:3] for row in values[:3]] == [[1, 1, 1]] * 3
