"""What is made on its way from file to file is what is made in memory, and torch is not needed for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.core.support import build
from tli_cli import Options, inject, match
from tli_cli.checkpoints import open_checkpoint
from tli_cli.checkpoints.writing import blocks
from tli_cli.checkpoints.writing.contents import Held
from tli_cli.errors import TliError
from tli_cli.injection.composed import Constant, Joined, Patched
from tli_cli.injection.streams import Streams
from tli_cli.pieces import Layout

WIDER = {
    "resnet": {"width": 12},
    "mobilenet": {"width": 12},
    "vit": {"width": 24, "depth": 3},
    "gated": {"ratio": 3},
    "decoder": {"width": 24, "heads": 6, "kv_heads": 3},
}


def saved(path: Path, state: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> str:
    save_file(
        {
            name: (value.to(dtype) if value.is_floating_point() else value).contiguous().clone()
            for name, value in state.items()
        },
        path,
    )
    return str(path)


@pytest.mark.parametrize("net", WIDER)
@pytest.mark.parametrize(
    ("dtype", "given"), [(None, torch.float32), ("bfloat16", torch.float32), ("float16", torch.bfloat16)]
)
def test_either_way_gives_the_same_bytes(net, dtype, given, tmp_path, monkeypatch):
    source = saved(tmp_path / "source.safetensors", build(net, 1).state_dict(), given)
    target = saved(tmp_path / "target.safetensors", build(net, 2, **WIDER[net]).state_dict(), given)
    inject(source, target, tmp_path / "a.safetensors", options=Options(dtype=dtype))
    taken, real = [], Streams.content
    monkeypatch.setattr(Streams, "content", lambda *given: taken.append(real(*given)))
    inject(source, target, tmp_path / "b.safetensors", options=Options(dtype=dtype))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert sum(content is not None for content in taken) > len(taken) / 3


def test_any_number_of_threads_gives_the_same_bytes(tmp_path, monkeypatch):
    source = saved(tmp_path / "source.safetensors", build("vit", 1).state_dict())
    target = saved(tmp_path / "target.safetensors", build("vit", 2, **WIDER["vit"]).state_dict())
    monkeypatch.setattr(blocks, "BLOCK", 4096)
    for count in (0, 1, 7):
        monkeypatch.setattr(blocks, "cores", lambda count=count: count)
        inject(source, target, tmp_path / f"{count}.safetensors", options=Options(dtype="bfloat16"))
    assert len({(tmp_path / f"{count}.safetensors").read_bytes() for count in (0, 1, 7)}) == 1


def test_fused_projections_are_put_together_and_taken_apart(tmp_path, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    apart = {}
    for i in range(2):
        for name in ("query", "key", "value"):
            apart[f"encoder.layer.{i}.attention.{name}.weight"] = torch.randn(8, 8, generator=draw)
            apart[f"encoder.layer.{i}.attention.{name}.bias"] = torch.randn(8, generator=draw)
        apart[f"encoder.layer.{i}.output.weight"] = torch.randn(8, 8, generator=draw)
    fused = {}
    for i in range(2):
        fused[f"blocks.{i}.attn.qkv.weight"] = torch.zeros(24, 8)
        fused[f"blocks.{i}.attn.qkv.bias"] = torch.zeros(24)
        fused[f"blocks.{i}.attn.proj.weight"] = torch.zeros(8, 8)
    first = saved(tmp_path / "apart.safetensors", apart)
    second = saved(tmp_path / "fused.safetensors", fused)
    made, real = [], Streams.content
    monkeypatch.setattr(Streams, "content", lambda *given: made.append(real(*given)) or made[-1])
    inject(first, second, tmp_path / "a.safetensors")
    assert any(isinstance(content._content if hasattr(content, "_content") else content, Joined) for content in made)
    inject(str(tmp_path / "a.safetensors"), first, tmp_path / "b.safetensors")
    found = open_checkpoint(tmp_path / "b.safetensors")
    assert all(torch.equal(found.read(name), value) for name, value in apart.items())


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize(("split", "permute"), [((8, 8), (1, 0)), ((2, 4, 8), (1, 0, 2)), ((4, 2, 2, 4), (2, 0, 3, 1))])
@pytest.mark.parametrize("width", [8, 12])
def test_reordered_values_are_the_same_either_way(split, permute, dtype, width, tmp_path, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    names = [f"fc{i}.weight" for i in range(3)]
    source = saved(tmp_path / "a.safetensors", {name: torch.randn(8, 8, generator=draw) for name in names})
    target = saved(tmp_path / "b.safetensors", {name: torch.zeros(width, width) for name in names})
    plan, layout = match(source, target), Layout(split, permute, (8, 8))
    steps = [replace(s, pieces=tuple(replace(p, layout=layout) for p in s.pieces)) for s in plan.steps]
    both_ways(replace(plan, steps=tuple(steps)), source, target, dtype, tmp_path, monkeypatch)


@pytest.mark.parametrize("initial", ["target", "ones", "zeros"])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_new_rows_are_the_same_either_way(initial, dtype, tmp_path, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    sizes = {"embed.weight": (50, 8), "fc.weight": (8, 8), "head.weight": (50, 8)}
    source = saved(tmp_path / "a.safetensors", {k: torch.randn(s, generator=draw) for k, s in sizes.items()})
    more = {k: (67 if s[0] == 50 else s[0], s[1]) for k, s in sizes.items()}
    target = saved(tmp_path / "b.safetensors", {k: torch.randn(s, generator=draw) for k, s in more.items()})
    plan = match(source, target, options=Options(head="keep"))
    assert any(axis_map.rule == "rows" for axis_map in plan.maps)
    plan = replace(plan, steps=tuple(replace(step, initial=initial) for step in plan.steps))
    made = both_ways(plan, source, target, dtype, tmp_path, monkeypatch)
    old, own = (open_checkpoint(path).read("embed.weight") for path in (source, target))
    start = {"target": own, "ones": torch.ones(67, 8), "zeros": torch.zeros(67, 8)}[initial]
    assert made.read("embed.weight").equal(torch.cat([old, start[50:]]).to(getattr(torch, dtype or "float32")))


def both_ways(plan, source, target, dtype, tmp_path, monkeypatch):
    """Carry out `plan` as it is, with no tensor left to torch, and with all of them; return what it gives."""
    taken, real = [], Streams.content
    monkeypatch.setattr(Streams, "content", lambda *given: taken.append(real(*given)) or taken[-1])
    options = Options(dtype=dtype)
    inject(source, target, tmp_path / "one.safetensors", plan=plan, options=options)
    assert taken and None not in taken
    monkeypatch.setattr(Streams, "content", lambda *given: None)
    inject(source, target, tmp_path / "two.safetensors", plan=plan, options=options)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    return open_checkpoint(tmp_path / "one.safetensors")


def test_patches_are_the_same_from_anywhere():
    first, second = bytes(range(30)), bytes(range(100, 130))
    content = Patched(Held(memoryview(first)), Held(memoryview(second)), 3, [(1, 2), (9, 1)])
    whole = first[:3] + second[3:9] + first[9:27] + second[27:]
    for start in range(30):
        for stop in range(start, 31):
            out = bytearray(stop - start)
            content.fill(start, memoryview(out))
            assert out == whole[start:stop]


def test_parts_lie_one_after_another():
    data = bytes(range(30))
    content = Joined(tuple(Held(memoryview(data[a:b])) for a, b in ((0, 7), (7, 7), (7, 30))))
    assert content.length == 30
    for start in range(30):
        for stop in range(start, 31):
            out = bytearray(stop - start)
            content.fill(start, memoryview(out))
            assert out == data[start:stop]


@pytest.mark.parametrize("value", [b"\0\0\x80?", b"\x80?", b"\0"])
def test_a_constant_is_the_same_from_anywhere(value):
    content = Constant(24, value)
    for start in range(24):
        out = bytearray(24 - start)
        content.fill(start, memoryview(out))
        assert out == (value * 24)[start:24]


@pytest.mark.parametrize("keep", [True, False])
def test_values_that_are_not_finite_are_found_on_the_way(keep, tmp_path):
    state = {f"fc{i}.weight": torch.ones(8, 8) for i in range(3)}
    state["fc1.weight"][3, 3] = float("nan")
    source = saved(tmp_path / "source.safetensors", state)
    target = saved(tmp_path / "target.safetensors", {name: torch.zeros(10, 10) for name in state})
    out = tmp_path / "out.safetensors"
    if keep:
        report = inject(source, target, out, options=Options(on_nonfinite="keep"))
        assert [warning for warning in report.warnings if "fc1.weight holds NaN" in warning] == list(report.warnings)
    else:
        with pytest.raises(TliError, match=r"fc1\.weight holds NaN"):
            inject(source, target, out)
    assert out.exists() == keep


GROWN = """
import sys
from tli_cli.cli import run
sys.modules["torch"] = None
sys.exit(run(["inject", sys.argv[1], "-t", sys.argv[2], "-o", sys.argv[3], "--dtype", "bfloat16"]))
"""


def test_growing_and_casting_need_no_torch(tmp_path):
    source = saved(tmp_path / "source.safetensors", {f"fc{i}.weight": torch.randn(8, 8) for i in range(3)})
    target = saved(tmp_path / "target.safetensors", {f"fc{i}.weight": torch.randn(12, 12) for i in range(3)})
    command = [sys.executable, "-c", GROWN, source, target, str(tmp_path / "out.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    written = open_checkpoint(tmp_path / "out.safetensors")
    assert {(spec.shape, spec.dtype) for spec in written.tensors} == {((12, 12), "bfloat16")}
    assert all(np.any(written.read(spec.name).float().numpy()) for spec in written.tensors)
