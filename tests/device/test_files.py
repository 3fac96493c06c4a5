"""`--device cuda` gives what the CPU gives: the same bytes where values are copied, near values where computed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.checkpoints.test_odd import odd
from tests.models import NETS, example_for, randomised
from tli_cli import Options, inject, match
from tli_cli.resizing import RESIZERS

PAIRS = {
    "wider": ({}, {"width": 12}),
    "uneven": ({}, {"width": 13}),
    "narrower": ({"width": 12}, {"width": 8}),
    "deeper": ({}, {"depth": 3}),
    "other head": ({}, {"classes": 9}),
}
CASES = [
    (name, change)
    for name, net in NETS.items()
    for change in PAIRS
    if (name, change)
    not in (
        ("group_norm", "uneven"),
        ("shuffle", "uneven"),
        ("shuffle", "deeper"),
        ("decoder", "other head"),
        ("rotary", "other head"),
    )
]
FITTED = (("resnet", "mobilenet"), ("vgg", "resnet"), ("vit", "mixer"), ("resnet", "convnext"))


def written(name: str, sizes: dict[str, int], path: Path) -> str:
    """Write a network of random values, whose graph is found under the reference that is returned."""
    torch.save(randomised(NETS[name](**sizes)).float().state_dict(), path)
    return str(path)


def made(name: str, sizes: dict[str, int]) -> str:
    net, given = NETS[name], ", ".join(f"{key}={value}" for key, value in sizes.items())
    return f"{net.__module__.replace('.', '/')}.py:{net.__name__}({given})"


def shape_for(name: str) -> tuple[int, ...]:
    return tuple(example_for(name)[0].shape[1:])


def both(source: str, target: str, out: Path, cuda: str, options: Options) -> tuple[dict, dict]:
    """Return the tensors that the CPU makes and those that the device makes, by one plan."""
    plan = match(source, target, options=options)
    for device, name in (("cpu", "here"), (cuda, "there")):
        inject(source, target, out / f"{name}.safetensors", plan=plan, options=replace(options, device=device))
    return load_file(out / "here.safetensors"), load_file(out / "there.safetensors")


def same(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], tolerance: float) -> None:
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        other = theirs[name]
        assert value.dtype == other.dtype and value.shape == other.shape
        if value.is_floating_point() and value.numel():
            scale = float(value.double().abs().max())
            apart = float((value.double() - other.double()).abs().max())
            assert apart <= tolerance * scale + 1e-12, f"{name}: {apart} apart, {scale} large"
        else:
            assert torch.equal(value, other), name


@pytest.mark.parametrize(("name", "change"), CASES)
def test_maps(name: str, change: str, tmp_path: Path, cuda: str) -> None:
    sizes, others = PAIRS[change]
    arch = made(name, sizes)
    options = Options(source_arch=arch, input_shape=shape_for(name), method="maps")
    same(*both(written(name, sizes, tmp_path / "a.pt"), made(name, others), tmp_path, cuda, options), 1e-6)


@pytest.mark.parametrize("method", list(RESIZERS))
def test_methods(method: str, tmp_path: Path, cuda: str) -> None:
    options = Options(source_arch=made("resnet", {}), input_shape=shape_for("resnet"), method=method)
    source = written("resnet", {}, tmp_path / "a.pt")
    same(*both(source, made("resnet", {"width": 13, "kernel": 5}), tmp_path, cuda, options), 1e-5)


@pytest.mark.parametrize("method", ["auto", "combo", "crop", "resize", "tile"])
def test_types_that_are_seldom(method: str, tmp_path: Path, cuda: str) -> None:
    save_file(odd(4), tmp_path / "a.safetensors")
    save_file(odd(8), tmp_path / "b.safetensors")
    options = Options(method=method, seed=3)
    paths = [str(tmp_path / f"{side}.safetensors") for side in "ab"]
    same(*both(*paths, tmp_path, cuda, options), 1e-2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_casts(dtype: str, tmp_path: Path, cuda: str) -> None:
    options = Options(source_arch=made("resnet", {}), input_shape=shape_for("resnet"), dtype=dtype)
    source = written("resnet", {}, tmp_path / "a.pt")
    same(*both(source, made("resnet", {"width": 12}), tmp_path, cuda, options), 1e-2)


@pytest.mark.parametrize(("first", "second"), FITTED)
def test_fits(first: str, second: str, tmp_path: Path, cuda: str) -> None:
    """A fit takes gradient steps, which carry roundings on: the two computed functions are near, not the values."""
    options = Options(source_arch=made(first, {}), input_shape=shape_for(first), method="fit")
    source = written(first, {}, tmp_path / "a.pt")
    target = made(second, {})
    mine, theirs = both(source, target, tmp_path, cuda, options)
    given = torch.randn(64, *shape_for(first), generator=torch.Generator().manual_seed(0))
    outputs = []
    for state in (mine, theirs, None):
        model = NETS[second]().eval()
        if state is not None:
            model.load_state_dict(state)
        with torch.no_grad():
            outputs.append(model(given))
    apart, random = (float((outputs[0] - other).pow(2).mean()) for other in outputs[1:])
    assert apart < 0.2 * random


def test_the_same_bytes_twice(tmp_path: Path, cuda: str) -> None:
    options = Options(source_arch=made("resnet", {}), input_shape=shape_for("resnet"), method="fit", device=cuda)
    source = written("resnet", {}, tmp_path / "a.pt")
    for out in ("first", "second"):
        inject(source, made("mobilenet", {}), tmp_path / f"{out}.safetensors", options=options)
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()


def test_verified_there(tmp_path: Path, cuda: str) -> None:
    options = Options(source_arch=made("resnet", {}), input_shape=shape_for("resnet"), device=cuda, verify=True)
    source = written("resnet", {}, tmp_path / "a.pt")
    report = inject(source, made("resnet", {"width": 12}), tmp_path / "out.safetensors", options=options)
    assert report.verification is not None and report.verification < 1e-5


def test_by_several_processes(tmp_path: Path, cuda: str) -> None:
    source = written("resnet", {}, tmp_path / "a.pt")
    given = ["inject", source, "--source-arch", made("resnet", {}), "-t", made("resnet", {"width": 12})]
    given += ["--input-shape", ",".join(map(str, shape_for("resnet"))), "--method", "resize", "--json"]
    alone = [sys.executable, "-m", "tli_cli", *given, "-o", str(tmp_path / "alone.safetensors")]
    subprocess.run(alone, check=True, capture_output=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tli_cli"]
    shards = [*given, "-o", str(tmp_path / "many.safetensors"), "--max-shard-size", "20KB", "--device", cuda]
    subprocess.run([*torchrun, *shards], check=True, capture_output=True)
    index = json.loads((tmp_path / "many.safetensors.index.json").read_text())["weight_map"]
    together = {key: value for part in set(index.values()) for key, value in load_file(tmp_path / part).items()}
    same(load_file(tmp_path / "alone.safetensors"), together, 1e-5)


def test_values_that_a_model_holds_itself(tmp_path: Path, cuda: str) -> None:
    """A model whose own code makes tensors on the CPU cannot be run elsewhere: what is done is said."""
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self, width=8):\n"
        "        super().__init__()\n"
        "        self.a, self.b = nn.Linear(6, width), nn.Linear(width, 3)\n"
        "        self.mask = torch.ones(width)\n"
        "    def forward(self, x):\n"
        "        return self.b(torch.relu(self.a(x)) * self.mask)\n"
    )
    net = f"{tmp_path}/own.py:Own"
    model = nn.Sequential()
    model.a, model.b = nn.Linear(6, 8), nn.Linear(8, 3)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    options = Options(source_arch=net, input_shape=(6,), device=cuda, verify=True)
    report = inject(str(tmp_path / "a.safetensors"), f"{net}(12)", tmp_path / "out.safetensors", options=options)
    assert report.verification is not None and report.verification < 1e-5
