"""Adapters beside a model are left out, and say so; adapters alone are no model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject, match
from tli_cli.errors import TliError

Tensors = dict[str, torch.Tensor]
NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
"""


def model() -> Tensors:
    shapes = {"0": (8, 6), "2": (8, 8), "4": (4, 8)}
    return {f"{n}.weight": torch.randn(s) for n, s in shapes.items()} | {
        f"{n}.bias": torch.randn(s[0]) for n, s in shapes.items()
    }


def adapted(tensors: Tensors, *, with_base: bool) -> Tensors:
    found = {}
    for name, tensor in tensors.items():
        path, _, role = name.rpartition(".")
        if path == "4":
            found[f"base_model.model.{name}"] = tensor
            continue
        found[f"base_model.model.{path}.base_layer.{role}"] = tensor
        if role == "weight":
            found[f"base_model.model.{path}.lora_A.default.weight"] = torch.randn(2, tensor.shape[1])
            found[f"base_model.model.{path}.lora_B.default.weight"] = torch.randn(tensor.shape[0], 2)
    return found if with_base else {name: tensor for name, tensor in found.items() if "lora" in name}


@pytest.fixture
def arch(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return f"{tmp_path / 'net.py'}:net"


@pytest.mark.parametrize("named", [False, True])
def test_the_base_model_is_taken(named: bool, arch: str, tmp_path: Path) -> None:
    tensors = model()
    save_file(adapted(tensors, with_base=True), tmp_path / "tuned.safetensors")
    out = tmp_path / "out.safetensors"
    options = Options(source_arch=arch if named else None, input_shape=(6,))
    plan = inject(str(tmp_path / "tuned.safetensors"), arch, out, options=options).plan
    assert all(torch.equal(load_file(out)[name], tensor) for name, tensor in tensors.items())
    assert any("adapters (4 tensors, such as" in note and "merge_and_unload" in note for note in plan.notes)
    assert len(plan.unused) == 4 and all("lora" in name for name in plan.unused)


@pytest.mark.parametrize("named", [False, True])
def test_adapters_alone_are_refused(named: bool, arch: str, tmp_path: Path) -> None:
    save_file(adapted(model(), with_base=False), tmp_path / "adapter.safetensors")
    options = Options(source_arch=arch if named else None, input_shape=(6,))
    with pytest.raises(
        TliError, match=r"adapters alone \(4 tensors, such as .*no model; name the checkpoint of its base"
    ):
        match(str(tmp_path / "adapter.safetensors"), arch, options=options)


def test_adapters_feed_adapters(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file(adapted(model(), with_base=False), tmp_path / f"{name}.safetensors")
    plan = match(str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"))
    assert all(step.action == "transfer" for step in plan.steps)
